# shellcheck shell=bash
# Hosts: a network namespace each, with a cable to a bridge that has a namespace of its own. The machine's own
# network has no part in it and is not touched. Whoever sources this says which there are: ADDRESS, by name the last
# part of each one's address.

readonly NET=10.77.0
readonly SWITCH=sk$$-switch

address() { echo "$NET.${ADDRESS[$1]}"; }

# Fails where namespaces, or links between them, cannot be made here; says why.
namespaces_work() {
    local name=sk$$-try said
    if ! have ip; then echo 'there is no ip: install iproute2'; return 1; fi
    if ! have nsenter; then echo 'there is no nsenter: install util-linux'; return 1; fi
    said=$(ip netns add "$name" 2>&1 && ip link add try netns "$name" type veth peer name other netns "$name" 2>&1 &&
        ip -n "$name" link add bridge type bridge 2>&1 && nsenter "--net=/run/netns/$name" true 2>&1) ||
        { ip netns del "$name" 2>/dev/null || true; echo "${said##*$'\n'}"; return 1; }
    ip netns del "$name"
}

make_network() {
    local host
    ip netns add "$SWITCH"
    ip -n "$SWITCH" link add bridge type bridge
    ip -n "$SWITCH" link set bridge up
    for host in "${!ADDRESS[@]}"; do
        ip netns add "sk$$-$host"
        ip link add "$host" netns "$SWITCH" type veth peer name eth0 netns "sk$$-$host"
        ip -n "$SWITCH" link set "$host" master bridge up
        ip -n "sk$$-$host" addr add "$(address "$host")/24" dev eth0
        ip -n "sk$$-$host" link set eth0 up
        ip -n "sk$$-$host" link set lo up
    done
}

remove_network() {
    local host
    for host in "${!ADDRESS[@]}"; do ip netns del "sk$$-$host" 2>/dev/null || true; done
    ip netns del "$SWITCH" 2>/dev/null || true
}

# on HOST COMMAND…: runs it there. Files and processes are this machine's.
on() {
    local host=$1
    shift
    nsenter "--net=/run/netns/sk$$-$host" "$@"
}

# The port stays up and is in no bridge: what is sent vanishes, as when a switch dies. Nobody is told.
pull_cable() { ip -n "$SWITCH" link set "$1" nomaster; }
plug_cable() { ip -n "$SWITCH" link set "$1" master bridge; }
