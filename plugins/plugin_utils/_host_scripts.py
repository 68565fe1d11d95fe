# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What runs on the host of an AOF: POSIX shell, for any userland.

Beside POSIX it needs ``head -c`` or GNU's ``dd`` (busybox has both), and one of openssl, sha256sum, shasum and sha256;
without ``tee`` or a hash tool the control node reads the file twice. Each script is preceded by assignments of its
values and by ``COMMON``.
"""

from __future__ import annotations

# 'say' prints lines that start with the marker in $id: 'start' before what was asked for, 'wait' to show life,
# 'error' with the reason, 'end' or 'short' after a stream.
COMMON = r"""
exec 2>/dev/null
LC_ALL=C; export LC_ALL
say() { printf '%s\n' "$id $*"; }
fail() { say "error $*"; exit 0; }

# Sets inode and size of the file that $1 names or links to.
state() {
  line=$(ls -Llnid "$1" 2>&1) || fail "$line"
  set -- $line
  inode=$1 size=$6
}

# Opens the file whose inode is known. Where /proc has it, $from stays that very file, whatever happens to its name.
open() {
  [ -r "$file" ] || { state "$file"; fail "$file: Permission denied"; }
  exec 5<"$file"
  from=$file
  [ -r /proc/self/fd/5 ] && from=/proc/self/fd/5
  state "$from"
  [ "$inode" = "$expected" ] || fail "$file: replaced"
}

# Bytes $1 to $1 + $2 of the file.
if dd if=/dev/null iflag=skip_bytes,count_bytes count=1 >/dev/null; then
  range() { dd if="$from" bs=1048576 iflag=skip_bytes,count_bytes skip="$1" count="$2"; }
else
  range() { tail -c "+$(($1 + 1))" "$from" | head -c "$2"; }
fi

# The fastest first: sha256sum is seven times slower than openssl where it was built without libcrypto.
for hash in 'openssl dgst -sha256 -r' sha256sum 'shasum -a 256' 'sha256 -q' ''; do
  case $($hash </dev/null) in e3b0c44298fc1c149afb*) break ;; esac
done
"""

FIND = r"""
state "$src"
if [ -d "$src" ]; then
  [ -r "$src" ] && [ -x "$src" ] || fail "$src: Permission denied"
  # As layout.py's find_aof does: the manifests, else those one level below and the single files.
  set --
  for found in "$src"/*.manifest; do
    case ${found##*/} in temp-*) ;; *) [ ! -e "$found" ] || set -- "$@" "$found" ;; esac
  done
  [ $# != 0 ] || for found in "$src"/*/*.manifest "$src"/*.aof; do
    case ${found##*/} in
      temp-* | *[0-9].base.aof | *[0-9].incr.aof) ;;
      *) [ ! -e "$found" ] || set -- "$@" "$found" ;;
    esac
  done
  [ $# != 0 ] || fail "$src: holds no manifest and no .aof file"
  [ $# = 1 ] || fail "$src: holds several AOFs: $*"
  src=$1
fi
[ -f "$src" ] || fail "$src: is not a file"
[ -r "$src" ] || fail "$src: Permission denied"
say "start $src"
case $src in *.manifest) cat "$src" ;; esac
say end
"""

STATES = r"""
answer=
for file in %s; do
  state "$file"
  [ -r "$file" ] || fail "$file: Permission denied"
  answer="$answer $inode $size"
done
say "start$answer"
"""

DIGEST = r"""
open
[ -n "$hash" ] || { say "start"; exit 0; }
( while sleep 10 >/dev/null; do say wait || exit; done ) &
beat=$!
digest=$(range 0 "$length" | $hash)
kill "$beat"
say "start ${digest%% *}"
"""

STREAM = r"""
open
packer=
for program in $packers; do
  printf x | $program -1 -q -c >/dev/null && packer=$program && break
done
say "start $packer"
exec 3>&1
hashed() {
  { [ "$before" = 0 ] || range 0 "$before"; range "$offset" "$length" | tee /dev/fd/4 4>&1 >&7; } | $hash
}
if [ -n "$hash" ] && [ "$(printf x | tee /dev/fd/4 4>&1 >/dev/null)" = x ]; then
  if [ -n "$packer" ]; then
    digest=$( { hashed 7>&1 >&8 | $packer -1 -q -c >&3; } 8>&1 )
  else
    digest=$(hashed 7>&3)
  fi
else
  digest=
  if [ -n "$packer" ]; then range "$offset" "$length" | $packer -1 -q -c; else range "$offset" "$length"; fi
fi
state "$from"
[ "$size" -ge "$((offset + length))" ] || { say short; exit 0; }
say "end ${digest%% *}"
"""
