# syntax=docker/dockerfile:1

# The version that "sluice --version" tells:
#   docker build --build-arg VERSION=$(git describe --tags --always) -t sluice .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/sluice ./cmd/sluice \
 && mkdir /out/state

# Nothing but the program: no shell, no libraries, no root.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/sluice /sluice
# A new volume takes its owner from the directory in the image.
COPY --from=build --chown=65532:65532 /out/state /var/lib/sluice
USER 65532:65532
# Let the file say: state: {path: /var/lib/sluice/sluice.db}
VOLUME /var/lib/sluice
# 8080 and 8443 are for the file's listeners. The admin API stays on the
# container's loopback unless the file gives it another address and tokens.
EXPOSE 8080 8443
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s --retries=3 CMD ["/sluice", "health"]
ENTRYPOINT ["/sluice"]
CMD ["serve", "-c", "/etc/sluice/sluice.yaml"]
