"""The commands: one module each, found by listing this folder, with a function of the module's name.

All of them are imported for the help, so each imports what takes time only in its functions.
"""
