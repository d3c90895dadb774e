# shellcheck shell=bash
# Does an address answer in its own protocol? Without client programs or passwords, by bash alone:
# a given service or a container asks nothing to be installed here.
# shellcheck disable=SC2016 # what is quoted for `bash -c` is expanded there, from its arguments

# "user:password@host:port/path" -> "host port"; a list gives its first; [::1]:6379 is understood.
host_and_port() {
    local rest=${1#*://} port
    rest=${rest%%[/?]*}
    # A password may hold "@", a host cannot.
    rest=${rest##*@}
    rest=${rest%%,*}
    port=${rest##*:}
    if [ "$port" = "$rest" ] || [[ $port == *']' ]]; then port=$2; else rest=${rest%:*}; fi
    rest=${rest#[}
    echo "${rest%]} $port"
}

# Sends bytes (as printf writes them) to a host and port, prints the first ones back in hex.
exchange() {
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2" >&3 && head -c "$3" <&3 | od -An -tx1' "$@" 2>/dev/null |
        tr -d ' \n'
}

# That somebody listens is all that can be seen of TLS from here.
listens() { timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

probe() {
    local name=$1 address=$2 host port
    case $name in
        redis)
            read -r host port <<<"$(host_and_port "$address" 6379)"
            if [[ $address == rediss:* ]]; then
                listens "$host" "$port"
                return
            fi
            # "+PONG", or "-NOAUTH": it wants the password, which only the URL's user has.
            case $(exchange "$host" "$port" 'PING\r\n' 5) in 2b504f4e47 | 2d4e4f4155) return 0 ;; esac
            return 1
            ;;
        mariadb)
            # The server speaks first: length, number, then protocol version 10.
            read -r host port <<<"$(host_and_port "$address" 3306)"
            [[ $(exchange "$host" "$port" '' 5) == ????????0a ]]
            ;;
        kafka)
            # ApiVersions, which every broker answers: length, our number back (7).
            read -r host port <<<"$(host_and_port "$address" 9092)"
            if [[ $address == ssl:* ]]; then
                listens "$host" "$port"
                return
            fi
            [[ $(exchange "$host" "$port" '\0\0\0\12\0\22\0\0\0\0\0\7\377\377' 8) == ????????00000007 ]]
            ;;
    esac
}

# Prints the status code that GET $2 is answered with on port $1, or nothing. Needs no client program.
status_of() {
    timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "GET %s HTTP/1.0\r\n\r\n" "$2" >&3 &&
        read -r _ status _ <&3 && echo "$status"' - "$1" "$2" 2>/dev/null || true
}
