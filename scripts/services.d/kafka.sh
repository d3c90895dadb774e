# shellcheck shell=bash
# Apache Kafka, one node that is broker and controller (KRaft). Its jars come from Maven Central
# (scripts/kafka/pom.xml names them): Debian has no package.
# shellcheck disable=SC2034 # _ports and _program are read by process.sh

# The broker's port, the controller's behind it; then the one that speaks TLS, and, where a proxy stands before the
# broker (scripts/chaos), one for clients that come by way of that: they are told the proxy's port.
kafka_more=0
if tls_wanted; then kafka_more=$((kafka_more + 1)); fi
if [ -n "${SECKILL_KAFKA_PROXY_PORT:-}" ]; then kafka_more=$((kafka_more + 1)); fi
kafka_ports="29092 $((2 + kafka_more))"
kafka_program='java kafka.Kafka'

kafka_packages() {
    if ! kafka_java >/dev/null; then echo default-jre-headless; fi
    # Only to fetch the jars: not needed where they lie already.
    if ! kafka_jars_there && ! have mvn; then echo maven; fi
    # Answers "is it up?" in 20 ms, where Kafka's own tools start a JVM for it.
    if ! have kcat; then echo kcat; fi
}

# The jars lie in libs if its note says that they are those of this very pom.xml.
kafka_jars_there() { cmp -s "$HERE/kafka/pom.xml" "$STATE_DIR/kafka/libs/pom.xml"; }

kafka_fetch_jars() {
    local dir="$STATE_DIR/kafka"
    rm -rf -- "$dir"/libs.new.*
    say "kafka: fetching its jars with Maven (54 MB, once)"
    local new="$dir/libs.new.$$" home=''
    # Java looks for the home directory in the passwd file only, where a container's user may have none.
    # Maven's launcher splits at spaces.
    if [[ -n ${HOME:-} && $HOME != *[[:space:]]* ]]; then home=-Duser.home=$HOME; fi
    MAVEN_OPTS="${MAVEN_OPTS:-} $home" mvn -q -B -f "$HERE/kafka/pom.xml" \
        dependency:copy-dependencies -DoutputDirectory="$new" >"$dir/maven.log" 2>&1 </dev/null || {
        grep -m 10 ERROR "$dir/maven.log" >&2 || tail -n 10 "$dir/maven.log" >&2
        die "kafka: Maven could not fetch the jars, as above (all of it: $dir/maven.log);" \
            "is Maven Central reachable?"
    }
    cp "$HERE/kafka/pom.xml" "$new/pom.xml"
    rm -rf -- "$dir/libs"
    mv "$new" "$dir/libs"
}

kafka_java() {
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then
        echo "$JAVA_HOME/bin/java"
    else
        command -v java
    fi
}

kafka_prepare() {
    local dir="$STATE_DIR/kafka" port=$1 java version listeners advertised protocols
    java=$(kafka_java) || die "kafka: no java found: install default-jre-headless, or set JAVA_HOME"
    version=$("$java" -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p')
    [ "${version:-0}" -ge 17 ] ||
        die "kafka: Java 17 or newer is needed, $java is ${version:-unknown};" \
            "install openjdk-17-jre-headless and set JAVA_HOME"
    kafka_jars_there || kafka_fetch_jars
    cp "$HERE/kafka/log4j2.xml" "$dir/log4j2.xml"
    listeners="BROKER://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))"
    advertised="BROKER://127.0.0.1:$port"
    protocols=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
    if tls_wanted; then
        listeners+=",SECURE://127.0.0.1:$((port + 2))"
        advertised+=",SECURE://localhost:$((port + 2))"
        protocols+=,SECURE:SSL
    fi
    if [ -n "${SECKILL_KAFKA_PROXY_PORT:-}" ]; then
        listeners+=",PROXIED://127.0.0.1:$((port + 1 + kafka_more))"
        advertised+=",PROXIED://127.0.0.1:$SECKILL_KAFKA_PROXY_PORT"
        protocols+=,PROXIED:PLAINTEXT
    fi
    # Paths are relative to $dir, where it runs: no space or comma in a checkout's path can hurt.
    {
        echo '# Written by scripts/services at every start.'
        kafka_properties 1 "1@127.0.0.1:$((port + 1))" "$listeners" "$advertised" "$protocols" 1
        if tls_wanted; then
            printf '%s\n' ssl.keystore.type=PEM ssl.keystore.location=../tls/kafka.pem
        fi
    } >"$dir/server.properties"
    # 16 random bytes in Kafka's base64; a leading "-" would read as an option.
    kafka_format "$dir" "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=' | sed 's/^-/A/')"
}

# kafka_properties NODE VOTERS LISTENERS ADVERTISED PROTOCOLS COPIES: prints the settings of a node that is broker and
# controller, wherever it runs (scripts/hosts has some, too).
kafka_properties() {
    cat <<EOF
process.roles=broker,controller
node.id=$1
controller.quorum.voters=$2
listeners=$3
advertised.listeners=$4
listener.security.protocol.map=$5
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs=data

# A topic that nobody made is a mistake to be told of, not to be papered over.
auto.create.topics.enable=false
# The internal topics want three copies by default, for which one node is not enough.
offsets.topic.replication.factor=$6
transaction.state.log.replication.factor=$6
transaction.state.log.min.isr=$(($6 > 1 ? 2 : 1))
# Few nodes of small topics: fewer partitions start and recover faster, and half a gigabyte of heap
# has no 128 MB for the log cleaner.
offsets.topic.num.partitions=5
transaction.state.log.num.partitions=5
log.cleaner.dedupe.buffer.size=16777216
group.initial.rebalance.delay.ms=0
# How long a killed broker still counts as alive: until then it cannot come back, and holds up what it leads and what
# it follows. 9 s is the default.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
EOF
}

# kafka_format FOLDER CLUSTER: makes the data directory of the node that works in FOLDER, where it has none.
kafka_format() {
    local dir=$1
    rm -rf -- "$dir"/data.gone.*
    [ ! -d "$dir/data" ] || return 0
    rm -rf -- "$dir"/data.new
    sed 's/^log\.dirs=.*/log.dirs=data.new/' "$dir/server.properties" >"$dir/format.properties"
    (cd "$dir" && "$(kafka_java)" -cp 'libs/*' kafka.tools.StorageTool format -t "$2" -c format.properties) \
        >"$dir/format.log" 2>&1 9>&- </dev/null || {
        tail -n 15 "$dir/format.log" >&2
        die "kafka: could not format its data directory, as above; when mended, run this again"
    }
    rm -f "$dir/format.properties"
    mv "$dir/data.new" "$dir/data"
}

kafka_command() { kafka_runs -Xms256m -Xmx512m; }

# kafka_runs OPTION…: sets COMMAND to a node, with these options for its JVM. A node of ours lives for minutes, on few
# cores: compiled once and simply it is as fast as it gets in that time, and leaves the cores to the others.
kafka_runs() {
    COMMAND=("$(kafka_java)" "$@" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError
        -Dlog4j2.configurationFile=log4j2.xml -cp 'libs/*' kafka.Kafka server.properties)
}

# Asks on the port that the others will ask on: the first handshake of a young JVM takes seconds.
kafka_ready() {
    local address=127.0.0.1:$1
    local -a tls=()
    if tls_wanted; then
        address=localhost:$(($1 + 2))
        tls=(-X security.protocol=ssl -X "ssl.ca.location=$STATE_DIR/tls/ca.pem")
    fi
    kafka_node_ready 1 "$address" "${tls[@]}"
}

# kafka_node_ready NODE ADDRESS OPTION…: does it answer there as this node?
kafka_node_ready() {
    timeout 5 kcat "${@:3}" -b "$2" -L -m 2 2>/dev/null | grep -q "broker $1 at $2"
}
