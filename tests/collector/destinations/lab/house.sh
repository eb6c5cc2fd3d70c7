#!/bin/bash
# Install Request Tracker, Redmine and Alertmanager in an overlay of this very Debian and serve
# them on loopback.  Runs in mount and process namespaces of its own: when it ends, all of it is
# gone, and the host has seen nothing but files below BASE.
#
#   unshare -m -p -f --kill-child --propagation private bash house.sh BASE RT REDMINE ALERTMANAGER
#
# Exit codes: 3 no overlay possible, 4 the package servers cannot be reached, 5 installing failed.
set -u
BASE=$1 RT=$2 REDMINE=$3 ALERTMANAGER=$4
ROOT=$BASE/root
mkdir -p "$BASE/upper" "$BASE/work" "$ROOT"
mount -t overlay overlay -o "lowerdir=/,upperdir=$BASE/upper,workdir=$BASE/work" "$ROOT" || exit 3
mount -t proc proc "$ROOT/proc" || exit 3
mount --rbind /dev "$ROOT/dev" || exit 3
cp --remove-destination -L /etc/resolv.conf "$ROOT/etc/resolv.conf.lab" 2>/dev/null &&
  mv -f "$ROOT/etc/resolv.conf.lab" "$ROOT/etc/resolv.conf"
mount -t tmpfs tmpfs "$ROOT/run" || exit 3
mount -t tmpfs tmpfs "$ROOT/tmp" || exit 3
# No package may start a service: what runs here is started below.
printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"

inside() { chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root \
  DEBIAN_FRONTEND=noninteractive RAILS_ENV=production X_DEBIAN_SITEID=default SECRET_KEY_BASE=lab "$@"; }

inside debconf-set-selections <<SEEDS
request-tracker5 request-tracker5/initial-root-password password lab-password
request-tracker5 request-tracker5/initial-root-password-confirm password lab-password
request-tracker5 request-tracker5/webbaseurl string http://127.0.0.1:$RT
request-tracker5 request-tracker5/rtname string lab.example.com
request-tracker5 request-tracker5/organization string lab.example.com
request-tracker5 request-tracker5/dbconfig-install boolean true
request-tracker5 request-tracker5/database-type select sqlite3
request-tracker5 request-tracker5/install-cronjobs boolean false
redmine redmine/instances/default/dbconfig-install boolean true
redmine redmine/instances/default/database-type select sqlite3
SEEDS
inside apt-get -q -o Acquire::Retries=1 -o APT::Update::Error-Mode=any update || exit 4
inside apt-get -q -y --no-install-recommends install \
  request-tracker5 rt5-db-sqlite rt5-standalone dbconfig-sqlite3 \
  redmine redmine-sqlite prometheus-alertmanager || exit 5

cat >"$ROOT/root/prepare.rb" <<'RUBY'
Setting.rest_api_enabled = '1'
Redmine::DefaultData::Loader.load('en') if Redmine::DefaultData::Loader.no_data?
user = User.find_by_login('admin')
user.update_columns(must_change_passwd: false)
key = Token.where(user_id: user.id, action: 'api').first || Token.create!(user: user, action: 'api')
lab = Project.find_by_identifier('lab') ||
  Project.create!(name: 'Lab', identifier: 'lab', trackers: Tracker.all.to_a)
# Only who is a member can be given work.
Member.create!(project: lab, principal: user, roles: [Role.givable.first]) if lab.members.empty?
File.write('/root/redmine.key', key.value)
RUBY
inside sh -c 'cd /usr/share/redmine && rails runner /root/prepare.rb' || exit 5
cat >"$ROOT/root/redmine.rb" <<RUBY
require "webrick"
require "rack"
require "rack/handler/webrick"
application, _ = Rack::Builder.parse_file("config.ru")
quiet = WEBrick::Log.new(File::NULL)
Rack::Handler::WEBrick.run(application, Host: "127.0.0.1", Port: $REDMINE, Logger: quiet, AccessLog: [])
RUBY
inside sh -c 'cd /usr/share/redmine && exec ruby /root/redmine.rb' &
inside prometheus-alertmanager --config.file=/etc/prometheus/alertmanager.yml --storage.path=/tmp/alerts \
  --web.listen-address="127.0.0.1:$ALERTMANAGER" --cluster.listen-address= &
# Where Debian 12 and later releases keep it.
inside sh -c "exec \$(ls /usr/share/request-tracker5/libexec/rt-server /usr/bin/rt-server 2>/dev/null | head -1) --port $RT" &
touch "$BASE/started"
wait
