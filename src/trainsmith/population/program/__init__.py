"""The batched program of a bucket and the update of its members: traced once, tidied, run without Python."""
