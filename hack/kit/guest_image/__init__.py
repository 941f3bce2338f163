"""The guest image of demo and tests: Debian 12 that boots fast where there is no KVM.

`root_file_system` fills a directory with Debian, `disk` makes a bootable disk of it without a mount or a
loop device, `build` ties both together and keeps the result, `boot_check` starts it and logs in. The files
that are put into the image lie in `hack/guest-image.d/`.
"""
