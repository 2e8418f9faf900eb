"""A client of the Engine API for Docker-compatible daemons, standard library only.

    from wherry.client.client import Client
    from wherry.client import container

    client = Client()                       # $DOCKER_HOST, or the default socket
    container.listing(client, {"all": "1"})

address → http (one socket, HTTP/1.1) → client (version, errors) → <noun>.py; streams and session carry live containers.
Nothing is re-exported here: a command loads the files it uses and no others.
"""
