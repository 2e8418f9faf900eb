"""Go's text/template, as far as docker's ``--format`` goes: which is all of it but complex numbers.

lexer (text → tokens) → parser (tokens → nodes) → engine (nodes and data → text), served by functions and printing.
Errors carry Go's words, because people and scripts know them.
"""
