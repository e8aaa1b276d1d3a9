"""Pure decisions and formats: no socket, no file, no clock is read here.

Everything that decides lives in this package so that it can be tested, and model-checked, without
a server. Layers, lower ones first: ``errors``, ``clock``, ``epochs``, ``names``, ``profile``,
``model``, ``merkle``; ``codec``, ``crypto``, ``ports``; ``documents``, ``keyring``, ``acl``, ``trust``, ``envelope``,
``rotation``.
"""
