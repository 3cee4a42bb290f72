# Sourced by a script that has already given every option variable its default:
#   nj=4; help_message="..."; . utils/parse_options.sh
# Turns `--some-option value` into some_option=value for declared variables only,
# and leaves the remaining words in "$@". `--config FILE` sources FILE first.
# shellcheck shell=bash

for _po_index in $(seq 1 $#); do
    if [ "${!_po_index}" = --config ] && [ "${_po_index}" -lt $# ]; then
        _po_index=$((_po_index + 1))
        # shellcheck disable=SC1090
        . "${!_po_index}"
    fi
done
unset _po_index

while [ $# -gt 0 ]; do
    case $1 in
        --help | -h)
            printf '%s\n' "${help_message:-No help is written for $0.}"
            exit 0
            ;;
        --config)
            shift 2
            ;;
        --*)
            _po_name=${1#--}
            _po_name=${_po_name//-/_}
            if ! [[ ${_po_name} =~ ^[a-z][a-z0-9_]*$ ]] ||
                ! declare -p "${_po_name}" >/dev/null 2>&1; then
                echo "$0: unknown option $1 (see $0 --help)" >&2
                exit 2
            fi
            if [ $# -lt 2 ]; then
                echo "$0: option $1 needs a value" >&2
                exit 2
            fi
            case "${!_po_name}:$2" in
                true:true | true:false | false:true | false:false) ;;
                true:* | false:*)
                    echo "$0: option $1 takes true or false, not '$2'" >&2
                    exit 2
                    ;;
            esac
            printf -v "${_po_name}" '%s' "$2"
            shift 2
            ;;
        *)
            break
            ;;
    esac
done
unset _po_name
