#!/usr/bin/env bash
# Runs one lossdoc command on every target; annotations go to the log, and the same as a list to the job's summary.
# Inputs come as environment variables, never as parts of this text: names of files are anyone's.
set -o pipefail  # without -u: to the bash 3.2 of macOS an empty list is an unbound variable
shopt -s nullglob
shopt -s globstar 2> /dev/null || true  # ** is known to bash 4

annotated() {  # what `validate` tells as file:line:column: error[kind] message, as annotations; no other line is a command
    sed -E -e 's/%/%25/g' -e 'tx' -e ':x' \
        -e 's/^(.+):([0-9]+):([0-9]+): (error|warning)\[([a-z-]+)\] (.*)$/::\4 file=\1,line=\2,col=\3,title=lossdoc \5::\6/' -e 't' \
        -e 's/^(.+): (error|warning)\[([a-z-]+)\] (.*)$/::\2 file=\1,title=lossdoc \3::\4/' -e 't' -e 's/^/| /'
}

listed() {  # annotations as a list in Markdown, without what could be read as HTML
    sed -nE 's/^::(error|warning|notice) (.*,)?title=([^:]*)::(.*)$/- **\1** \3: \4/p' |
        sed -e 's/%0D//g; s/%0A/ /g; s/%3A/:/g; s/%2C/,/g; s/%25/%/g' -e 's/&/\&amp;/g; s/</\&lt;/g'
}

examine() {
    case $COMMAND in
        validate) lossdoc validate "$@" "${args[@]}" 2>&1 | annotated ;;
        *) lossdoc "$COMMAND" "$@" "${args[@]}" --format github --fail-on "$FAIL_ON" ;;
    esac
}

read -r -a args <<< "$ARGS"
targets=()
while IFS= read -r line; do
    [ -n "$line" ] || continue
    found=()
    case $line in *[*?[]*) while IFS= read -r each; do found+=("$each"); done < <(compgen -G "$line") ;; esac
    targets+=("${found[@]:-$line}")
done <<< "$TARGETS"

code=0
lines=$(mktemp)
take() { examine "$@" | tee -a "$lines"; local now=${PIPESTATUS[0]}; [ "$now" -le "$code" ] || code=$now; }
if [ "$COMMAND" = diagnose ]; then
    take "${targets[@]}"
else
    for target in "${targets[@]}"; do take "$target"; done
fi

summary=$(listed < "$lines")
{
    echo "### lossdoc $COMMAND"
    echo
    echo "${summary:-Nothing found.}"
} >> "${GITHUB_STEP_SUMMARY:-/dev/null}"
echo "code=$code" >> "${GITHUB_OUTPUT:-/dev/null}"
rm -f "$lines"
exit "$code"
