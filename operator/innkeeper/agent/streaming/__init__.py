"""Images for guests that boot while their image is still arriving: a process of its own on each host.

It serves every image that is on its way as a read-only NBD export, over a Unix socket, and fetches the chunks that are
not there yet: those that a guest reads at once, those that it will read soon ahead of it, and the rest in the background.
The process outlives the agent, and a new one goes on where a killed one ended: all that it knows lies in files.

`nbd` speaks to QEMU, `chunk_file` is an image in the making, `origin` fetches from the image server, `supply` decides
what is fetched when, `streams` are all images of the host, `control` is how the agent speaks to the process and
`streamer` the agent's end of it.
"""
