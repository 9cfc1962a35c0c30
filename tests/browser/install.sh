#!/bin/sh
# Chromium and its driver from Debian's packages, where they are missing; needs root for that.
set -e
if [ -x "${CHROMIUM:-/usr/bin/chromium}" ] && [ -x "${CHROMEDRIVER:-/usr/bin/chromedriver}" ]; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "error: Chromium and its driver are needed: apt-get install chromium chromium-driver," \
       "or set CHROMIUM and CHROMEDRIVER to where they are" >&2
  exit 2
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver
