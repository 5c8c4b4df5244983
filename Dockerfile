# syntax=docker/dockerfile:1
# Parley in an image without shell or package manager, run by a user without
# rights:
#
#   docker build -t parley --build-arg VERSION=$(git describe --tags --always) .
#   docker run --init -p 127.0.0.1:8080:8080 -p 127.0.0.1:9090:9090 -v parley-data:/data parley
#
# Tags are pinned to minor versions: patches come with the next build.

FROM node:20.20-bookworm-slim AS web
WORKDIR /src
# The lock file and what it names first, so that a change of source does not
# install again.
COPY package.json package-lock.json ./
COPY web/shared/package.json web/shared/
COPY gateway/desktop/package.json gateway/desktop/
COPY plugins/webchat/widget/package.json plugins/webchat/widget/
COPY e2e/package.json e2e/
RUN npm ci --no-audit --no-fund
COPY web web
COPY gateway/desktop gateway/desktop
COPY plugins/webchat/widget plugins/webchat/widget
RUN npm --workspace gateway/desktop run build && npm --workspace plugins/webchat/widget run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=web /src/gateway/desktop/dist gateway/desktop/dist
COPY --from=web /src/plugins/webchat/widget/dist plugins/webchat/widget/dist
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/parley ./cmd/parley \
	&& install -d -m 0700 /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/parley /parley
COPY --from=build --chown=65532:65532 /out/data /data
# The ops listener has no login. It listens inside the container's network, for
# probes and Prometheus; publish its port on loopback or a private network only.
ENV PARLEY_DATA=/data PARLEY_LISTEN__OPS=:9090
VOLUME /data
EXPOSE 8080 9090
# No HEALTHCHECK: the image has nothing to ask with, and the process ends by
# itself when it must not go on. Orchestrators ask /healthz and /readyz on 9090.
ENTRYPOINT ["/parley"]
CMD ["serve"]
