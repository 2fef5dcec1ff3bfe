#!/usr/bin/env bash
# From a clone to a running kernel and a data layout. Safe to run twice; says one line for each thing it does, nothing when nothing is to do.
#
#   ./setup.sh         what the notebooks need
#   ./setup.sh test    and what the tests need: gdal-bin, chromium, python3-rasterio
#
# Data goes to $IMAGESIM_DATA, else to /home/ubuntu/data.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
here=$PWD

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup.sh: %s\n' "$*" >&2
  exit 1
}

check_node() {
  local version
  command -v node >/dev/null || fail 'found no node: install Node 22, or 20.19 and later (https://nodejs.org), and run ./setup.sh again'
  version=$(node --version) || fail "node does not run ($(command -v node)): install Node 22, or 20.19 and later (https://nodejs.org)"
  [[ $version =~ ^v([0-9]+)\.([0-9]+)\. ]] || fail "node calls itself '$version' ($(command -v node)): install Node 22, or 20.19 and later"
  if ((BASH_REMATCH[1] < 20 || (BASH_REMATCH[1] == 20 && BASH_REMATCH[2] < 19))); then
    fail "found Node $version ($(command -v node)): install Node 22, or 20.19 and later (https://nodejs.org), and put it first on the PATH"
  fi
}

# One setup at a time in a checkout: the second waits, then finds everything done.
take_turn() {
  command -v flock >/dev/null || return 0
  exec 9<"$here"
  flock -n 9 || { say 'another setup runs in this checkout: waiting for it' && flock 9; }
}

checksum() { sha256sum | cut -d ' ' -f 1; }

# Writes standard input to a file, whole or not at all.
write() {
  cat >"$1.part"
  mv "$1.part" "$1"
}

holds() { [[ -f $1 && $(<"$1") == "$2" ]]; }

# --- packages: the stamp lies inside node_modules and is written last, so that an interrupted install is done again

# True when what npm noted of its last finished install is what package.json and the lock ask for: somebody ran npm by hand.
installed_by_hand() {
  # shellcheck disable=SC2016 # a program for node
  node -e '
    const { readFileSync } = require("fs");
    const read = (path) => JSON.parse(readFileSync(path, "utf8"));
    const { packages: wanted } = read("package-lock.json");
    const { packages: has } = read("node_modules/.package-lock.json");
    const asks = (from) => JSON.stringify(["dependencies", "devDependencies", "optionalDependencies"].map((kind) => Object.entries(from[kind] ?? {}).sort()));
    const locked = ["", ...(wanted[""].workspaces ?? [])].every((folder) => asks(wanted[folder]) === asks(read(`./${folder}/package.json`)));
    const there = ([path, { optional, link, version }]) => !path.includes("node_modules/") || optional || link || has[path]?.version === version;
    process.exit(locked && Object.entries(wanted).every(there) ? 0 : 1)' 2>/dev/null
}

install_packages() { # folder, files that decide
  local folder=$1 wanted stamp=node_modules/.imagesim-setup log
  shift
  cd "$here/$folder"
  wanted=$(cat "$@" | checksum)
  if ! holds "$stamp" "$wanted"; then
    if ! installed_by_hand; then
      say "npm ci in $PWD: about a minute"
      rm -f "$stamp"
      log=$(npm ci --no-audit --no-fund --loglevel=error 2>&1) || fail "npm ci failed in $PWD: $log"
    fi
    write "$stamp" <<<"$wanted"
  fi
  cd "$here"
}

# --- kernel-lib, built when a source is not what it was

build_library() {
  local wanted stamp=kernel-lib/dist/.imagesim-setup log
  wanted=$({ find kernel-lib -name node_modules -prune -o -name dist -prune -o -name '*.ts' -print0 | sort -z | xargs -0 sha256sum \
    && sha256sum tsconfig.json kernel-lib/tsconfig.json package-lock.json; } | checksum)
  holds "$stamp" "$wanted" && return
  say 'building kernel-lib'
  log=$(npm run --silent build 2>&1) || fail "kernel-lib does not build: $log"
  write "$stamp" <<<"$wanted"
}

# --- Jupyter: where it is found, else from conda, else from Debian

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"; else sudo "$@"; fi
}

# Two checkouts may set up at once: they take turns at apt.
apt_install() {
  command -v apt-get >/dev/null || fail "found no apt-get to install $*: install them your own way and run ./setup.sh again"
  [[ $(id -u) == 0 ]] || command -v sudo >/dev/null || fail "cannot install $* as $(id -un): run ./setup.sh as root, or install sudo"
  say "apt-get install $*"
  local log
  # shellcheck disable=SC2016 # expanded by the inner shell
  log=$(as_root env DEBIAN_FRONTEND=noninteractive flock /run/lock/imagesim-apt bash -c '
    apt-get update -qq && apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 "$@"' apt "$@" 2>&1) \
    || fail "apt-get could not install $*: $log"
}

# Prints the full path of a python if it can execute notebooks and serve them.
python_with_jupyter() {
  "$1" -c '
import sys
from importlib.util import find_spec
if not all(map(find_spec, ["nbclient", "nbconvert", "jupyter_client"])) or not any(map(find_spec, ["jupyterlab", "notebook"])):
    sys.exit(1)
print(sys.executable)' 2>/dev/null
}

# Each jupyter on the PATH names its python in its first line; the python3 first on the PATH need not be that one.
find_jupyter() {
  local candidate
  while read -r candidate; do
    [[ -n $candidate ]] && python_with_jupyter "$candidate" && return
  done < <({ type -aP jupyter jupyter-nbconvert | xargs -r -n 1 head -n 1 | sed -n 's/^#! *//p'; type -aP python3; echo /usr/bin/python3; } 2>/dev/null)
  return 1
}

install_jupyter() {
  if command -v conda >/dev/null; then
    say 'conda create: python, notebook, nbconvert (into environment/jupyter/conda)' >&2
    local log
    log=$(conda create -y -q -p "$here/environment/jupyter/conda" -c conda-forge python notebook nbconvert nbclient 2>&1) || fail "conda could not install Jupyter: $log"
    python_with_jupyter "$here/environment/jupyter/conda/bin/python" || fail 'conda installed Jupyter, but its python does not find it: see conda list'
  else
    apt_install jupyter-notebook jupyter-nbconvert jupyter-client python3-nbclient >&2
    python_with_jupyter /usr/bin/python3 || fail 'apt-get installed Jupyter, but /usr/bin/python3 does not find it: see dpkg -l python3-nbclient'
  fi
}

# Remembered in environment/jupyter/python. The kernel lies beside it, in this checkout, so that two checkouts do not run each other's.
prepare_jupyter() {
  local record=environment/jupyter/python python spec=environment/jupyter/kernels/tslab wanted
  mkdir -p "$spec"
  [[ -f environment/jupyter/.gitignore ]] || echo '*' >environment/jupyter/.gitignore
  if ! [[ -f $record ]] || ! python_with_jupyter "$(<"$record")" >/dev/null; then
    python=$(find_jupyter) || python=$(install_jupyter) || exit 1
    say "Jupyter of $python"
    write "$record" <<<"$python"
  fi
  wanted=$(kernel_spec)
  holds "$spec/kernel.json" "$wanted" && return
  say "registering the TypeScript kernel in $spec"
  write "$spec/kernel.json" <<<"$wanted"
}

kernel_spec() {
  local node
  node=$(type -P node)
  printf '{\n  "argv": ["%s", "%s/environment/node_modules/tslab/bin/tslab", "kernel", "--config-path", "{connection_file}"],\n' "$node" "$here"
  printf '  "display_name": "TypeScript",\n  "language": "typescript"\n}\n'
}

# --- the command, on the PATH

# For root in /usr/local/bin, for others in ~/.local/bin. Another checkout's command that works is left alone: npx imagesim always runs this one's.
link_command() {
  local folder=$HOME/.local/bin target=$here/kernel-lib/bin/imagesim.js owner said=environment/jupyter/command
  [[ $(id -u) != 0 ]] || folder=/usr/local/bin
  if [[ -e $folder/imagesim ]]; then
    owner=$(readlink -f "$folder/imagesim")
    [[ $folder/imagesim -ef $target ]] || holds "$said" "$owner" && return 0
    say "the command imagesim in $folder belongs to $owner: here it is npx imagesim"
    write "$said" <<<"$owner" # said once
    return 0
  fi
  mkdir -p "$folder"
  ln -sfn "$target" "$folder/imagesim"
  say "the command imagesim in $folder"
}

# --- data layout

lay_out_data() {
  local data=${IMAGESIM_DATA:-/home/ubuntu/data} made='' folder
  [[ $data != *://* ]] || fail "IMAGESIM_DATA is $data: expected a folder on a disk; a bucket goes into IMAGESIM_DELIVERY"
  data=${data%/}
  data=${data%/ard}
  for folder in ard chips datasets models embeddings demo-ard notebooks; do
    [[ -d $data/$folder ]] && continue
    mkdir -p "$data/$folder" 2>/dev/null || fail "cannot make $data/$folder: set IMAGESIM_DATA to a folder that $(id -un) may write"
    made+=" $folder"
  done
  [[ -z $made ]] || say "folders in $data:$made"
}

# --- what only the tests need

install_test_tools() {
  local packages=()
  command -v gdalinfo >/dev/null || packages+=(gdal-bin)
  [[ -n $(type -P chromium chromium-browser google-chrome) ]] || packages+=("$(chromium_package)")
  /usr/bin/python3 -c 'import sys; from importlib.util import find_spec; sys.exit(find_spec("rasterio") is None)' || packages+=(python3-rasterio)
  [[ ${#packages[@]} == 0 ]] || apt_install "${packages[@]}"
}

# Debian calls it chromium; Ubuntu chromium-browser.
chromium_package() {
  if [[ -f /etc/os-release ]] && grep -q '^ID=ubuntu' /etc/os-release; then echo chromium-browser; else echo chromium; fi
}

case ${1:-} in '' | test) ;; *) fail "unknown argument '$1': it takes none, or the word test" ;; esac
check_node
take_turn
lay_out_data
install_packages . package.json kernel-lib/package.json package-lock.json
install_packages environment package.json package-lock.json
build_library
prepare_jupyter
link_command
[[ ${1:-} != test ]] || install_test_tools
