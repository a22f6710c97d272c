# How others take a package: PACKAGE is its reference, as in ghcr.io/owner/demo:demo-stable.
tdg pull "oci://$PACKAGE" layout
tdg cat "oci://$PACKAGE!/assets/talos/arm64/checksums.sha256"
skopeo copy --preserve-digests "docker://$PACKAGE" oci:copy:demo-stable
oras pull --output files "$PACKAGE"
oras discover --format tree "$PACKAGE"
(cd files/assets/talos/arm64 && sha256sum -c checksums.sha256)
