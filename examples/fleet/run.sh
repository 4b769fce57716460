#!/bin/sh
# Shows a fleet at work: an issuer that serves its keys, and two services, as processes.
#
#   cargo build -p service-token -p example-fleet
#   PATH="$PWD/target/debug:$PATH" examples/fleet/run.sh [FOLDER]
#
# It needs curl and openssl. FLEET_PORT names the first of three ports, and FLEET_STORE a PostgreSQL instead of a file.
set -eu

port=${FLEET_PORT:-28440}
folder=${1:-$(mktemp -d)}
issuer=https://localhost:$port
shop=http://127.0.0.1:$((port + 1))
bakery=http://127.0.0.1:$((port + 2))

mkdir -p "$folder"
cd "$folder"
store=${FLEET_STORE:-sqlite:$PWD/tokens.db}
started=
trap 'for pid in $started; do kill -CONT "$pid"; kill "$pid"; done 2> /dev/null || true' EXIT

say() { printf '\n== %s\n' "$*"; }
ask() { curl -sS --noproxy '*' --max-time 5 --cacert authority.crt "$@"; }

# The status of a call by `orders`. The token is in a file, because every user can read arguments.
status() {
    { printf 'Authorization: Bearer '; cat tokens/orders.token; } > orders.header
    ask -o answer -w '%{http_code}' -H @orders.header "$1"
}
statuses() { echo "$(status "$shop/") $(status "$bakery/")"; }

# Milliseconds; whole seconds where `date` has no fractions.
now_ms() {
    case $(date +%N) in
        *N | '') echo "$(date +%s)000" ;;
        *) date +%s%3N ;;
    esac
}

# Repeats a command until it succeeds, for a minute at most.
pause=0.2
until_it_works() {
    tries=300
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || { echo "never succeeded: $*" >&2; cat ./*.log >&2; exit 1; }
        sleep "$pause"
    done
}

say "An authority, and a certificate for the server of the issuer"
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
{
    openssl req -x509 $new -days 2 -subj "/CN=bakery authority" -keyout authority.key -out authority.crt
    openssl req $new -subj /CN=localhost -keyout tls.key -out tls.csr
    echo "subjectAltName=DNS:localhost" > tls.ext
    openssl x509 -req -in tls.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 2 \
        -extfile tls.ext -out tls.crt
} 2> openssl.log
chmod 600 ./*.key

say "A key, a store and a token for each service"
cat > service-token.toml <<CONFIG
issuer = "$issuer"
audience = "fleet"
profile = "strict"
store = "$store"

[key]
file = "signing.pem"
algorithm = "ES256"

[rotation]
# Short, so that a rotation can be watched. The defaults are 90 days and an hour.
key_life = "30s"
longest_refresh = "8s"

[services]
orders = {}
inventory = {}
CONFIG
service-token keygen
service-token store init
service-token rotate
service-token generate --all --out-dir tokens

say "The server of the issuer: $issuer"
service-token serve --listen "127.0.0.1:$port" --tls-cert tls.crt --tls-key tls.key > issuer.txt 2> issuer.log &
started="$started $!"
until_it_works ask -f -o answer "$issuer/healthz" 2> wait.log
ask "$issuer/.well-known/openid-configuration"

say "Two services"
service() {
    fleet-service --name "$1" --listen "127.0.0.1:$2" --issuer "$issuer" --audience fleet --authority authority.crt \
        --store "$store" > "$1.audit" 2> "$1.log" &
}
service shop $((port + 1)); started="$started $!"
service bakery $((port + 2)); bakery_pid=$!; started="$started $!"
until_it_works ask -f -o answer "$shop/healthz" 2> wait.log
until_it_works ask -f -o answer "$bakery/healthz" 2> wait.log
echo "orders calls both: $(statuses)"
[ "$(statuses)" = "200 200" ]

say "Revoked within a second"
service-token revoke --service orders --before now --reason "in a public log"
revoked=$(now_ms)
both_refuse() { [ "$(statuses)" = "401 401" ]; }
pause=0.02
until_it_works both_refuse
echo "both refuse the token $(($(now_ms) - revoked)) ms after the end of the command"
pause=0.2
echo "orders calls both: $(statuses)"
service-token renew --out-dir tokens
echo "orders has a new token: $(statuses)"
[ "$(statuses)" = "200 200" ]

say "A rotation waits for a verifier: bakery is paused"
kill -STOP "$bakery_pid"
prepared() { service-token rotate > rotate.txt && grep -q '^prepared ' rotate.txt; }
until_it_works prepared
waits() { service-token rotate > rotate.txt && grep 'waits: not loaded yet by bakery;' rotate.txt; }
until_it_works waits
echo "shop has the next key, and bakery does not: the old key still signs"

say "bakery runs again, so the next key signs"
kill -CONT "$bakery_pid"
activated() { service-token rotate > rotate.txt && grep '^activated ' rotate.txt; }
until_it_works activated
service-token renew --out-dir tokens
echo "orders has a token of the new key: $(statuses)"
[ "$(statuses)" = "200 200" ]

say "Done. Audit, logs and store are in $folder"
