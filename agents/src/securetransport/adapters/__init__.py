"""Everything outside the process: one folder per outside world, implementing the ports of the core."""
