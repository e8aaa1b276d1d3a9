"""Pure decisions and formats: no socket, no file, no clock is read here.

Everything that decides lives in this package so that it can be tested, and model-checked, without
a server. ``.importlinter`` says which module may import which; read ``errors``, ``clock``,
``epochs``, ``names``, ``profile`` and ``model`` first.
"""
