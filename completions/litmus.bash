# bash completion for litmus; made by: litmus completion bash
_litmus_runs() {
    echo last; litmus runs --json --limit 30 --quiet 2>/dev/null | sed -n 's/^{"test_run_id":"\([^"]*\)".*/\1/p'
}
_litmus() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="runs show events channel recall sql yield pareto coverage drift capability control retest durations grr compare export slots import compact gate concede note materialize rebuild reindex verify doctor evidence keygen archive prune daemon completion help version"
        COMPREPLY=($(compgen -W "$words" -- "$current"))
        return
    fi
    case $previous in
    --data-dir|-d) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --run|-r) COMPREPLY=($(compgen -W "$(_litmus_runs)" -- "$current")); return ;;
    --outcome) COMPREPLY=($(compgen -W 'passed failed errored skipped done terminated aborted' -- "$current")); return ;;
    --allow|-a) COMPREPLY=($(compgen -W 'skipped conceded skip_marker sweep_stopped maxfail interrupted crash instrument_error collection_error unknown' -- "$current")); return ;;
    esac
    case $command in
    runs)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --page --since --until --serial --part --lot --git --station --operator --phase --outcome --project --text --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    show)
        case $current in
        -*) words=' -d --data-dir -j --json -m --measurements -f --follow --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    events)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since -s --session -r --run -t --type --role -f --follow --types --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    channel)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until -s --session --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='ls view export' ;;
        esac ;;
    recall)
        case $current in
        -*) words=' -d --data-dir -j --json --since --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    sql)
        case $current in
        -*) words=' -d --data-dir -j --json --since -c --command -f --file --csv --parquet --memory --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    yield)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --step --by --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    pareto)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --force --step --by --plot --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    coverage)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --all --csv --step --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    drift)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    capability)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --force --step --by --plot --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    control)
        case $current in
        -*) words=' -d --data-dir -j --json --since --until --serial --part --lot --git --station --operator --phase --project --all --csv --force --step --by --kind --plot --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    retest)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --all --csv --step --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    durations)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --step --by --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    grr)
        case $current in
        -*) words=' -d --data-dir -j --json --since --until --serial --part --lot --git --station --operator --phase --project --csv --step --by --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    compare)
        case $current in
        -*) words=' -d --data-dir -j --json -n --limit --since --until --serial --part --lot --git --station --operator --phase --project --csv --step --measurement --tz --utc --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    export)
        case $current in
        -*) words=' -d --data-dir -n --limit --since --until --serial --part --lot --git --station --operator --phase --outcome --project -f --format -o --output --force --list --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    slots)
        case $current in
        -*) words=' -d --data-dir -j --json --since -f --follow --serials --slots --logs --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    import)
        case $current in
        -*) words=' -d --data-dir -j --json --dry-run --junit --reportlog --openhtf --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    compact)
        case $current in
        -*) words=' -d --data-dir -j --json --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    gate)
        case $current in
        -*) words=' -d --data-dir -j --json -a --allow --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    concede)
        case $current in
        -*) words=' -d --data-dir -j --json --by --why --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    note)
        case $current in
        -*) words=' -d --data-dir -j --json --by --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    materialize)
        case $current in
        -*) words=' -d --data-dir -j --json --all --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    rebuild)
        case $current in
        -*) words=' -d --data-dir -j --json --dry-run --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    reindex)
        case $current in
        -*) words=' -d --data-dir -j --json --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    verify)
        case $current in
        -*) words=' -d --data-dir -j --json --all -k --key --signed --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    doctor)
        case $current in
        -*) words=' -d --data-dir -j --json --list -k --key --mend --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    evidence)
        case $current in
        -*) words=' -d --data-dir -j --json -o --output --force -k --key --no-color -q --quiet -v --verbose -h --help' ;;
        *) words="$(_litmus_runs)" ;;
        esac ;;
    keygen)
        case $current in
        -*) words=' -d --data-dir -j --json -k --key --public --rotate --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    archive)
        case $current in
        -*) words=' -d --data-dir -j --json --older-than --dry-run --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    prune)
        case $current in
        -*) words=' -d --data-dir -j --json --keep -y --yes --dry-run --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    daemon)
        case $current in
        -*) words=' -d --data-dir -j --json --foreground --idle --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='run status stop' ;;
        esac ;;
    completion)
        case $current in
        -*) words=' -d --data-dir --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='bash zsh fish' ;;
        esac ;;
    help)
        case $current in
        -*) words=' -d --data-dir --man --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    version)
        case $current in
        -*) words=' -d --data-dir -j --json --no-color -q --quiet -v --verbose -h --help' ;;
        *) words='' ;;
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _litmus litmus
