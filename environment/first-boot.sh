#!/usr/bin/env bash
# What a machine of machines.yaml does once, as root, at its first start: Node, for the trainer a driver and conda, then setup.sh as the user ubuntu.
#
#   environment/first-boot.sh datamaker|trainer
#
# Safe to run again: what is there is left alone.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
role=${1:-}
[[ $role == datamaker || $role == trainer ]] || { echo "first-boot.sh: unknown role '$role': it takes datamaker or trainer" >&2 && exit 1; }

download() { curl -fsSL --retry 5 --retry-all-errors -o "$1" "$2"; }

# From nodejs.org, checked against its list of sums: Ubuntu's own Node is too old.
install_node() {
  command -v node >/dev/null && return
  local from=https://nodejs.org/dist/latest-v22.x folder archive
  folder=$(mktemp -d)
  cd "$folder"
  download sums "$from/SHASUMS256.txt"
  archive=$(grep -o 'node-v22[0-9.]*-linux-x64\.tar\.xz' sums)
  download "$archive" "$from/$archive"
  grep " $archive\$" sums | sha256sum --check --quiet
  tar -xJf "$archive" -C /usr/local --strip-components=1
}

# The images with a driver bring one for Turing and newer; a Volta GPU (p3) needs the 580 branch, the last that knows it.
install_driver() {
  if command -v nvidia-smi >/dev/null || ! lspci | grep -qi nvidia; then return; fi
  apt-get install -y -q --no-install-recommends linux-headers-aws nvidia-headless-580-server nvidia-utils-580-server || return 1
  modprobe nvidia || echo 'first-boot.sh: the NVIDIA driver does not load: restart the machine, then run ./setup.sh trainer'
}

# CUDA 11.2 and cuDNN 8.1 are in no present image of Ubuntu: conda-forge has them. Each step returns its failure: bash does not stop at one inside an ||.
install_conda() {
  if ! [[ -x /opt/conda/bin/conda ]]; then
    local from=https://github.com/conda-forge/miniforge/releases/latest/download name=Miniforge3-Linux-x86_64.sh folder
    folder=$(mktemp -d)
    cd "$folder"
    download "$name" "$from/$name" || return 1
    download sum "$from/$name.sha256" || return 1
    awk -v name="$name" '{ print $1 "  " name }' sum | sha256sum --check --quiet || return 1
    rm -rf /opt/conda # half of one, from an interrupted run
    bash "$name" -b -p /opt/conda || return 1
  fi
  ln -sfn /opt/conda/bin/conda /usr/local/bin/conda
}

apt-get update -q
apt-get install -y -q --no-install-recommends ca-certificates curl git pciutils xz-utils
install_node
if [[ $role == trainer ]]; then
  install_driver || echo 'first-boot.sh: could not install the NVIDIA driver: training will do without the GPU'
  install_conda || echo 'first-boot.sh: could not install conda: training will do without the GPU'
fi
sudo -u ubuntu -H env IMAGESIM_DATA=/home/ubuntu/data "$checkout/setup.sh" "$role"
echo "first-boot.sh: the $role is ready"
