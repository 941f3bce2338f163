# The images of Innkeeper: `operator` (operator and image server, not root) and `agent` (for hosts).
#
#   docker build --target operator --tag innkeeper-operator .
#   docker build --target agent --tag innkeeper-agent .
#
# hack/image builds this same file without Docker, over a Debian that it makes itself. Python packages come from
# requirements/*.txt, each file checked by its hash. The optional secrets `pip` and `ca` are a pip.conf and a bundle of
# certificates, for whoever reaches a package index of their own; neither is kept in an image.

ARG BASE=debian:bookworm-slim@sha256:d5d3f9c23164ea16f31852f95bd5959aad1c5e854332fe00f7b3a20fcc9f635c

# --- what both images run on ------------------------------------------------------------------------------------------
FROM ${BASE} AS base
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt
ENV PATH=/opt/innkeeper/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONUNBUFFERED=1

# --- Python packages, built where the compilers may stay behind -----------------------------------------------------------
FROM base AS build
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      gcc libc6-dev libvirt-dev pkg-config python3-dev python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
ARG PIP_DISABLE_PIP_VERSION_CHECK=1
ARG PIP_ROOT_USER_ACTION=ignore
ARG PIP_NO_CACHE_DIR=1
RUN python3 -m venv --without-pip /opt/innkeeper && python3 -m venv /opt/build
WORKDIR /src
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/pip-ca.crt \
    /opt/build/bin/pip install --require-hashes --only-binary :all: --requirement requirements/build.txt
COPY requirements/base.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/pip-ca.crt \
    /opt/build/bin/pip --python /opt/innkeeper/bin/python install \
      --require-hashes --only-binary :all: --requirement requirements/base.txt

# What belongs to the agent alone. libvirt-python is published as source only.
FROM build AS build-agent
COPY requirements/libvirt.txt requirements/s3.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/pip-ca.crt \
    /opt/build/bin/pip wheel --require-hashes --no-build-isolation --no-deps --wheel-dir /wheels \
      --requirement requirements/libvirt.txt \
 && /opt/build/bin/pip --python /opt/innkeeper/bin/python install \
      --no-index --no-deps --prefix /own /wheels/libvirt_python-*.whl \
 && /opt/build/bin/pip --python /opt/innkeeper/bin/python install \
      --require-hashes --only-binary :all: --no-deps --prefix /own --requirement requirements/s3.txt

# Innkeeper itself. VERSION replaces the version of the checkout, for trials of an upgrade.
FROM build AS build-innkeeper
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
ARG VERSION=""
RUN if [ -n "${VERSION}" ]; then \
      sed -i "s/^__version__ = .*/__version__ = \"${VERSION}\"/" operator/innkeeper/__init__.py; \
    fi \
 && /opt/build/bin/pip wheel --no-index --no-build-isolation --no-deps --wheel-dir /wheels . \
 && /opt/build/bin/pip --python /opt/innkeeper/bin/python install \
      --no-index --no-deps --prefix /own /wheels/innkeeper-*.whl

# --- operator and image server --------------------------------------------------------------------------------------------
FROM base AS operator
RUN groupadd --system --gid 65532 innkeeper \
 && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin innkeeper
COPY --from=build /opt/innkeeper /opt/innkeeper
COPY --from=build-innkeeper /own /opt/innkeeper
USER 65532:65532
ENTRYPOINT ["innkeeper"]
CMD ["operator"]

# --- the agent: root, since it makes bridges, packet filters and disks of the host ---------------------------------------
FROM base AS agent
ARG DEBIAN_FRONTEND=noninteractive
# dnsmasq, nft and qemu-img are run by the agent; qemu-system-x86_64 only tries whether KVM really runs code.
# 64055 is the number that Debian and Ubuntu reserve for QEMU's group: files and sockets are shared with the host.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends \
      dnsmasq-base libvirt0 nftables qemu-system-x86 qemu-utils \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*.log /var/log/apt \
 && groupadd --system --gid 64055 libvirt-qemu
COPY --from=build /opt/innkeeper /opt/innkeeper
COPY --from=build-agent /own /opt/innkeeper
COPY --from=build-innkeeper /own /opt/innkeeper
ENTRYPOINT ["innkeeper"]
CMD ["agent"]
