"""Container logs: which drivers there are and how their options read, and reading back what a shim has written.

A json-file log is a directory entry and its rotated predecessors, newest first, each line one JSON object:

    <id>-json.log               {"log":"text","stream":"stdout","attrs":{…},"time":"2026-01-02T03:04:05.678901234Z"}
    <id>-json.log.1
    <id>-json.log.2.gz          compressed, if the log's options ask for it
"""
