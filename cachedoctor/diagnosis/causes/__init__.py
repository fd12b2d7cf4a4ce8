"""Why a daemon is stuck or dead: one file a cause, which holds its signature, its words, its facts and its
documentation.

A new cause is a new file in this folder: `registry` finds it there. It has a docstring, whose first line is the cause
in a sentence and whose rest says how it is recognized, and a `CAUSE`. What does not belong to one cause alone is in
`cause` (what a cause is), `registry` (which causes there are), and modules that begin with an underscore.
"""
