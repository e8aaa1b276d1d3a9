"""Everything outside the process: one folder per outside world, implementing the core's ports."""
