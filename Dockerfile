# Isobar in an image of its own: one static binary, no shell, no root.
#
#   docker build -t isobar .
#   docker run -it --rm isobar demo
#   docker run -p 8080:8080 -v "$PWD/isobar.yaml":/etc/isobar/isobar.yaml:ro isobar
#
# A quick build, somewhat slower at work: --build-arg LTO=off --build-arg CODEGEN_UNITS=16
FROM rust:1.95-slim AS manifests
WORKDIR /src
COPY . .
# The manifests with empty programs: what is built of them, the dependencies, stays in the layer cache
# until a manifest or the lock file changes.
RUN find . -name '*.rs' ! -name lib.rs ! -name main.rs ! -path '*/benches/*' ! -path '*/bin/*' -delete \
    && find . -name '*.rs' -exec sh -c 'echo "fn main() { }" >"$0"' {} \;

FROM rust:1.95-slim AS build
ARG LTO=fat
ARG CODEGEN_UNITS=1
# With `--target` the flags are for the binary only: procedural macros cannot be linked statically.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_DIST_LTO="$LTO" \
    CARGO_PROFILE_DIST_CODEGEN_UNITS="$CODEGEN_UNITS" \
    CARGO_PROFILE_DIST_DEBUG=0 \
    CARGO_PROFILE_DIST_STRIP=debuginfo
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --locked --profile dist -p isobar --target "$(rustc --print host-tuple)" --target-dir /target
COPY . .
# Cargo goes by time: the real sources must be newer than the empty ones.
RUN find crates -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile dist -p isobar --target "$(rustc --print host-tuple)" --target-dir /target \
    && install -D /target/*/dist/isobar /out/isobar \
    && install -d -m 0700 /out/run /out/spill \
    && rm -rf /target

FROM scratch
COPY --from=build /out/isobar /usr/local/bin/isobar
# The only places that are written to: the admin socket's folder, and where large bodies wait. A
# tmpfs there would take the bodies from the container's memory.
COPY --from=build --chown=65532:65532 /out/run /run/isobar
COPY --from=build --chown=65532:65532 /out/spill /var/tmp
VOLUME /var/tmp
USER 65532:65532
EXPOSE 8080 9464
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["/usr/local/bin/isobar", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/isobar"]
CMD ["run"]
