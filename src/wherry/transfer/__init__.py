"""Everything that moves images: archives in and out, a root file system made into an image; pull and push.

What moves is never half there: blobs are staged, layers are unpacked beside the store, and one transaction makes an
image of them (``store.ImageStore.commit``).
"""
