# Installs, runs, upgrades, removes and purges the Debian package: debian_trial.rb runs this in a clean Debian, as root,
# in a network namespace of its own without any device but the loopback.
# $1 is the package, $2 a newer one.
set -eu

step() { echo "trial: $*"; }
fail() { echo "trial: FAILED: $*" >&2; exit 1; }
# All files except the records of dpkg, its triggers, and the accounts.
files() { find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /proxymachine -o -path /var/lib/dpkg \
  -o -path /var/log -o -path /var/cache -o -path /etc/passwd\* -o -path /etc/group\* -o -path /etc/shadow\* \
  -o -path /etc/gshadow\* -o -path /var/lib/systemd \) -prune -o -print | sort; }
as_user="setpriv --reuid proxymachine --regid proxymachine --clear-groups --no-new-privs"

ip link set lo up 2>/dev/null || ruby -rsocket -e 's = Socket.new(:INET, :DGRAM); s.ioctl(0x8914, ["lo", 0x49].pack("a16s"))'
files >/tmp/before

step "install"
dpkg --install "$1"
id proxymachine >/dev/null
[ "$(dpkg-query -W -f '${Conffiles}' proxymachine | awk '{ print $1 }')" = /etc/proxymachine/config.rb ] ||
  fail "the config is no conffile"
for file in /usr/share/bash-completion/completions/proxymachine /usr/share/zsh/vendor-completions/_proxymachine; do
  [ -f "$file" ] || fail "there is no $file"
done
step "version $(proxymachine --version)"
ruby -e 'require "proxymachine"; ProxyMachine::TLS'

step "check"
$as_user proxymachine -t -c /etc/proxymachine/config.rb

serve() {
  $as_user proxymachine -c /etc/proxymachine/config.rb >/tmp/log 2>&1 &
  server=$!
  ruby -rsocket -e '
    deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
    begin
      client = TCPSocket.new("127.0.0.1", 5432)
    rescue SystemCallError
      raise if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
      sleep 0.1
      retry
    end
    client.write("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n")
    answer = client.read
    abort "answered #{answer.inspect}" unless answer.start_with?("HTTP/1.1 404 Not Found")
  ' || { cat /tmp/log; fail "the server does not serve"; }
  kill -QUIT "$server"
  wait "$server" || { cat /tmp/log; fail "the server exits with $?"; }
}
step "run"
serve

step "upgrade"
echo "# an administrator's line" >>/etc/proxymachine/config.rb
dpkg --install "$2"
grep -q "an administrator's line" /etc/proxymachine/config.rb || fail "the upgrade has overwritten the config"
serve

step "remove"
dpkg --remove proxymachine
[ -f /etc/proxymachine/config.rb ] || fail "removing has deleted the config"
[ ! -e /usr/bin/proxymachine ] || fail "removing has left the program"

step "purge"
dpkg --purge proxymachine
files >/tmp/after
diff /tmp/before /tmp/after >/tmp/left || { cat /tmp/left; fail "purging has left or deleted files"; }
step "passed"
