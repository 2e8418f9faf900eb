"""The bottom storey: errors, identifiers, clock, filters and atomic files. Imports nothing of wherry."""
