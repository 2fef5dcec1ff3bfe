#!/usr/bin/env bash
# From a clone to a running kernel and a data layout. Safe to run twice; says one line for each thing it does, nothing when nothing is to do.
#
#   ./setup.sh              what the notebooks need, for the role chosen last; at first that is the datamaker's
#   ./setup.sh datamaker    the same, for the machine that makes data
#   ./setup.sh trainer      for the machine that trains: and @tensorflow/tfjs-node-gpu, CUDA and cuDNN, or what it does without them
#   ./setup.sh test         and what the tests need: gdal-bin, osmium-tool, libjpeg-turbo-progs, chromium, python3-rasterio, python3-onnx, openssh-server, Slurm
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
      # onnxruntime-node would fetch CUDA libraries from outside the registry; encoding does without them
      log=$(ONNXRUNTIME_NODE_INSTALL=skip npm ci --no-audit --no-fund --loglevel=error 2>&1) || fail "npm ci failed in $PWD: $log"
    fi
    write "$stamp" <<<"$wanted"
  fi
  cd "$here"
}

# --- kernel-lib, built when a source is not what it was

build_library() {
  local wanted stamp=kernel-lib/dist/.imagesim-setup log
  wanted=$({ find kernel-lib -name node_modules -prune -o -name dist -prune -o \( -name '*.ts' -o -name tsconfig.json \) -print0 | sort -z | xargs -0 sha256sum \
    && sha256sum tsconfig.json package-lock.json; } | checksum)
  holds "$stamp" "$wanted" && return
  say 'building kernel-lib'
  log=$(npm run --silent build 2>&1) || fail "kernel-lib does not build: $log"
  write "$stamp" <<<"$wanted"
}

# --- the role, remembered in environment/jupyter/role: npm start and npm run lab set up the machine that it is

choose_role() { # argument
  local record=environment/jupyter/role
  mkdir -p environment/jupyter
  [[ -f environment/jupyter/.gitignore ]] || echo '*' >environment/jupyter/.gitignore
  role=datamaker
  if [[ $1 == datamaker || $1 == trainer ]]; then
    role=$1
    holds "$record" "$role" || write "$record" <<<"$role"
  elif [[ -f $record ]]; then
    role=$(<"$record")
  fi
}

# What could not be got is tried again when its key changes, or when environment/jupyter/tried is removed.
tried() { holds "environment/jupyter/tried/$1" "$2"; }
note_tried() {
  mkdir -p environment/jupyter/tried
  write "environment/jupyter/tried/$1" <<<"$2"
}

# --- Jupyter: for a trainer from conda, which brings CUDA too; else where it is found, else from conda, else from Debian

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

# Prints the python of the role's conda environment, made anew when environment/<role>.yml changes. Fails where conda is not there or cannot make it.
conda_python() {
  local folder=$here/environment/jupyter/conda-$role file=environment/$role.yml wanted log
  wanted=$(checksum <"$file")
  if command -v conda >/dev/null && ! holds "$folder/.imagesim-setup" "$wanted" && ! tried conda "$role $wanted"; then
    say "conda env create, from $file: some minutes" >&2
    rm -rf "$folder" # another file's, or half of one
    if log=$(conda env create -q -p "$folder" -f "$file" 2>&1); then
      write "$folder/.imagesim-setup" <<<"$wanted"
    else
      rm -rf "$folder"
      note_tried conda "$role $wanted"
      say "conda could not make the environment of $file: $log" >&2
    fi
  fi
  [[ -x $folder/bin/python ]] && python_with_jupyter "$folder/bin/python"
}

debian_python() {
  apt_install jupyter-notebook jupyter-nbconvert jupyter-client python3-nbclient >&2
  python_with_jupyter /usr/bin/python3 || fail 'apt-get installed Jupyter, but /usr/bin/python3 does not find it: see dpkg -l python3-nbclient'
}

choose_python() {
  local record=environment/jupyter/python
  if [[ $role == trainer ]] && conda_python; then return; fi
  if [[ -f $record ]] && python_with_jupyter "$(<"$record")"; then return; fi
  find_jupyter || conda_python || debian_python
}

# Remembered in environment/jupyter/python. The kernel lies beside it, in this checkout, so that two checkouts do not run each other's.
prepare_jupyter() {
  local record=environment/jupyter/python python spec=environment/jupyter/kernels/tslab wanted
  mkdir -p "$spec"
  python=$(choose_python) || exit 1
  if ! holds "$record" "$python"; then
    say "Jupyter of $python"
    write "$record" <<<"$python"
  fi
  wanted=$(kernel_spec)
  holds "$spec/kernel.json" "$wanted" && return
  say "registering the TypeScript kernel in $spec"
  write "$spec/kernel.json" <<<"$wanted"
}

kernel_spec() {
  local name value variables=
  printf '{\n  "argv": ["%s", "--require", "%s/environment/steady-kernel.cjs",\n' "$(type -P node)" "$here"
  printf '    "%s/environment/node_modules/tslab/bin/tslab", "kernel", "--config-path", "{connection_file}"],\n' "$here"
  printf '  "display_name": "TypeScript",\n  "language": "typescript"'
  if [[ $role == trainer ]]; then
    while IFS='=' read -r name value; do variables+=", \"$name\": \"$value\""; done < <(gpu_environment)
    printf ',\n  "env": { %s }' "${variables#, }"
  fi
  printf '\n}\n'
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
  local packages=() module
  command -v gdalinfo >/dev/null || packages+=(gdal-bin)
  command -v osmium >/dev/null || packages+=(osmium-tool)
  command -v jpegtran >/dev/null || packages+=(libjpeg-turbo-progs)
  [[ -n $(type -P chromium chromium-browser google-chrome) ]] || packages+=("$(chromium_package)")
  for module in rasterio onnx; do
    /usr/bin/python3 -c 'import sys; from importlib.util import find_spec; sys.exit(find_spec(sys.argv[1]) is None)' "$module" || packages+=("python3-$module")
  done
  [[ ${#packages[@]} == 0 ]] || apt_install "${packages[@]}"
  [[ -x /usr/sbin/sshd && -n $(type -P ssh) ]] || install_stopped ssh openssh-server openssh-client || exit 1
  install_slurm
}

# For the tests' own servers on 127.0.0.1: the packages would also start one, ssh on port 22 to all, and are kept from that.
install_stopped() { # its services with blanks between, packages
  local policy=/usr/sbin/policy-rc.d kept='' failed='' services
  read -ra services <<<"$1"
  shift
  if [[ -e $policy ]]; then kept=yes; else printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"; fi
  (apt_install "$@") || failed=yes
  [[ -n $kept ]] || as_root rm -f "$policy"
  as_root systemctl disable "${services[@]}" >/dev/null 2>&1 || true # where systemd is not, nothing starts them
  [[ -z $failed ]]
}

# The tests of arrays run on it, and are skipped without.
install_slurm() {
  if [[ -x /usr/sbin/slurmctld && -x /usr/sbin/slurmd && -x /usr/sbin/munged && -n $(type -P sbatch) ]] || tried slurm "$(date +%F)"; then return 0; fi
  install_stopped 'slurmctld slurmd munge' slurmctld slurmd slurm-client munge || note_tried slurm "$(date +%F)"
}

# Debian calls it chromium; Ubuntu chromium-browser.
chromium_package() {
  if [[ -f /etc/os-release ]] && grep -q '^ID=ubuntu' /etc/os-release; then echo chromium-browser; else echo chromium; fi
}

# --- what only the trainer needs

# Where native TensorFlow looks for its libraries: those of these folders that are there, with colons between.
gpu_folders() {
  local folder folders=()
  for folder in "$here/environment/jupyter/conda-trainer/lib" /usr/local/cuda-11*/lib64 "$here/node_modules/@tensorflow/tfjs-node-gpu/deps/lib"; do
    [[ -d $folder ]] && folders+=("$folder")
  done
  (IFS=: && printf '%s' "${folders[*]:-}")
}

# What a kernel that trains gets, NAME=value on each line.
gpu_environment() {
  local folders
  folders=$(gpu_folders)
  [[ -z $folders ]] || echo "LD_LIBRARY_PATH=$folders"
  # TensorFlow 2.9 is older than the GPUs of today: their code is made from its own at the first use, which takes minutes. 4 GiB, the most that there is, keep all of it.
  echo CUDA_CACHE_MAXSIZE=4294967296
}

has_library() { # its name
  local folder
  while read -r -d : folder; do
    [[ -n $folder && -e $folder/$1 ]] && return
  done < <(printf '%s:' "$(gpu_folders)" "${LD_LIBRARY_PATH:-}")
  grep -qF "$1" <<<"$(/sbin/ldconfig -p 2>/dev/null)"
}

has_gpu_module() { [[ -n $(compgen -G 'node_modules/@tensorflow/tfjs-node-gpu/lib/napi-v*/tfjs_binding.node') ]]; }

# npm leaves it out where its install script cannot download TensorFlow: asked for once more, alone.
get_gpu_module() {
  local key how=(install --no-save --no-audit --no-fund)
  key=$(checksum <package-lock.json)
  if has_gpu_module || tried tfjs-node-gpu "$key"; then return 0; fi
  [[ ! -d node_modules/@tensorflow/tfjs-node-gpu ]] || how=(rebuild @tensorflow/tfjs-node-gpu)
  say 'npm once more, for @tensorflow/tfjs-node-gpu: it downloads 400 MB, five minutes at most'
  timeout 300 npm "${how[@]}" --loglevel=error >/dev/null 2>&1 || true # what came of it is looked at, not what it says
  has_gpu_module || note_tried tfjs-node-gpu "$key"
}

# One line for each thing that a GPU needs and that is not there.
gpu_lacks() {
  local shown library missing=()
  if ! command -v nvidia-smi >/dev/null; then
    echo 'an NVIDIA GPU: found no nvidia-smi; install the NVIDIA driver, 450 or newer'
  elif ! shown=$(timeout 30 nvidia-smi -L 2>&1); then
    echo "an NVIDIA GPU: nvidia-smi says '$(head -n 1 <<<"$shown")'; install the driver again, or restart"
  fi
  for library in libcudart.so.11.0 libcudnn.so.8; do has_library "$library" || missing+=("$library"); done
  [[ ${#missing[@]} == 0 ]] || echo "CUDA 11.2 and cuDNN 8.1: found no ${missing[*]}; install conda, which brings them, and run ./setup.sh trainer again"
  has_gpu_module || echo '@tensorflow/tfjs-node-gpu: its binary did not come from storage.googleapis.com; once that can be reached, remove environment/jupyter/tried and run ./setup.sh trainer again'
}

# What trains, and why: asked of the library itself, with the libraries that the kernel gets.
training_backend() {
  local variables
  mapfile -t variables < <(gpu_environment)
  # shellcheck disable=SC2016 # a program for node
  env "${variables[@]}" node --input-type=module -e '
    import { trainingBackend } from "imagesim/training"
    const { name, why } = await trainingBackend({ load: (name) => import(name) })
    console.log(`${name}: ${why}`)
    process.exit(0)' 2>/dev/null | tail -n 1
}

# In full when something changed, else in one line; nothing where the GPU trains as before.
report_trainer() {
  local said=environment/jupyter/trainer lacks runs wanted line names=''
  lacks=$(gpu_lacks)
  runs=$(training_backend)
  [[ -n $runs ]] || fail 'found nothing to train with: node cannot import imagesim/training; see npm run build'
  wanted=$lacks$'\n'$runs
  if ! holds "$said" "$wanted"; then
    [[ -z $lacks ]] || while read -r line; do say "could not get $line"; done <<<"$lacks"
    say "training runs on $runs"
    write "$said" <<<"$wanted"
  elif [[ $runs != tensorflow-gpu:* ]]; then
    while read -r line; do names+=", ${line%%:*}"; done <<<"${lacks:-a GPU that TensorFlow can use}"
    say "training runs on ${runs%%:*}, not on a GPU, for want of ${names#, }"
  fi
}

[[ $# -le 1 ]] || fail "found $# arguments: it takes none, or one of datamaker, trainer, test"
case ${1:-} in '' | datamaker | trainer | test) ;; *) fail "unknown argument '$1': it takes none, or one of datamaker, trainer, test" ;; esac
check_node
take_turn
choose_role "${1:-}"
lay_out_data
install_packages . package.json kernel-lib/package.json package-lock.json
install_packages environment package.json package-lock.json
build_library
[[ $role != trainer ]] || get_gpu_module
prepare_jupyter
link_command
[[ $role != trainer ]] || report_trainer
[[ ${1:-} != test ]] || install_test_tools
