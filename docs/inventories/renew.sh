#!/bin/sh
# Renew the lists of other sites' names, which the build has to have without network, from Debian's documentation
# packages: sh docs/inventories/renew.sh. The addresses that go with them are in docs/conf.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for pair in joblib:python-joblib-doc matplotlib:python-matplotlib-doc numpy:python-numpy-doc sklearn:python-sklearn-doc python:python3.13-doc; do
    apt-get download "${pair#*:}"
    file=$(dpkg-deb --contents "${pair#*:}"_*.deb | grep -o '\./usr/.*objects\.inv$')
    dpkg-deb --fsys-tarfile "${pair#*:}"_*.deb | tar --extract --to-stdout --file=- "$file" >"$here/${pair%%:*}.inv"
done
