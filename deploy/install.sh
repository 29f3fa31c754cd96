#!/bin/sh
# Installs Hearth as a service from an unpacked release: the program, its unit, a configuration and a user, and the default model. Running it again upgrades.
#
#   ./install.sh                 on a machine with a GPU, or that may get one
#   ./install.sh --cpu           on a machine without: the unit gets no device at all
#   ./install.sh --no-start      starts nothing, pulls nothing
#   ./install.sh --uninstall     removes all but /etc/hearth and /var/lib/hearth
#
# Debian has a package instead. What is there already of /etc/hearth is left as it is.
set -eu

start=yes cpu=no uninstall=no
for option; do
    case $option in
        --no-start) start=no ;;
        --cpu) cpu=yes ;;
        --uninstall) uninstall=yes ;;
        *) echo "install.sh: $option is no option: --cpu, --no-start, --uninstall" >&2; exit 2 ;;
    esac
done

here=$(cd "$(dirname "$0")" && pwd)
units=/etc/systemd/system
# The unit of a machine that systemd does not run, as a container or a chroot, is only put in its place.
runs() { [ -d /run/systemd/system ]; }

[ "$(id -u)" = 0 ] || { echo "install.sh: it writes to /usr/local, /etc and /var: run it as root" >&2; exit 1; }

if [ $uninstall = yes ]; then
    if runs; then systemctl disable --now hearth.service || true; fi
    rm -f /usr/local/bin/hearth $units/hearth.service $units/hearth.service.d/cpu.conf
    rmdir $units/hearth.service.d 2>/dev/null || true
    rm -rf /var/cache/hearth
    if runs; then systemctl daemon-reload; fi
    echo "removed; /etc/hearth and /var/lib/hearth are left to you"
    exit 0
fi

for file in hearth systemd/hearth.service systemd/hearth.toml; do
    [ -e "$here/$file" ] || { echo "install.sh: $here/$file is missing: run it from an unpacked release" >&2; exit 1; }
done

# Groups that own a GPU's devices; small systems lack the second.
for group in video render; do getent group $group >/dev/null || groupadd --system $group; done
getent passwd hearth >/dev/null || useradd --system --user-group --home-dir /var/lib/hearth --no-create-home --shell /usr/sbin/nologin hearth

install -D -m 0755 "$here/hearth" /usr/local/bin/hearth.new
# In one step: a server that runs keeps the old one.
mv /usr/local/bin/hearth.new /usr/local/bin/hearth
install -D -m 0644 "$here/systemd/hearth.service" $units/hearth.service
if [ $cpu = yes ]; then install -D -m 0644 "$here/systemd/hearth.service.d/cpu.conf" $units/hearth.service.d/cpu.conf; fi

install -d -m 0750 -o root -g hearth /etc/hearth
install -d -m 0700 -o hearth -g hearth /var/lib/hearth /var/lib/hearth/state /var/lib/hearth/models
[ -e /etc/hearth/hearth.toml ] || install -m 0640 -o root -g hearth "$here/systemd/hearth.toml" /etc/hearth/hearth.toml
if [ ! -e /etc/hearth/master.key ]; then
    (umask 077 && head -c 32 /dev/urandom | base64 > /etc/hearth/master.key)
fi

as_hearth() { setpriv --reuid=hearth --regid=hearth --clear-groups env HOME=/var/lib/hearth HEARTH_MODELS=/var/lib/hearth/models "$@"; }
/usr/local/bin/hearth config check /etc/hearth/hearth.toml
if [ $start = yes ]; then
    as_hearth /usr/local/bin/hearth pull
    if runs; then
        systemctl daemon-reload
        systemctl enable hearth.service
        systemctl restart hearth.service
    fi
fi
cat <<'END'
Hearth is installed. It listens on 127.0.0.1:18789, for a proxy of this machine (nginx: deploy/nginx), and asks for keys:
  setpriv --reuid=hearth --regid=hearth --clear-groups hearth keys --config /etc/hearth/hearth.toml create NAME
  systemctl status hearth
END
