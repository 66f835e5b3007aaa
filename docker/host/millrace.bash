# Completion of millrace's commands and options for bash. What can be completed is asked of millrace itself.

_millrace()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} binary=${COMP_WORDS[0]} verb=${COMP_WORDS[1]}
	local -a options
	if [ "$COMP_CWORD" = 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$("$binary" --help 2>/dev/null |
			sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p') --help --version" -- "$word")
		return
	fi
	case $before in
	--log-level) mapfile -t COMPREPLY < <(compgen -W "debug info warn error" -- "$word") && return ;;
	--stage) mapfile -t COMPREPLY < <(compgen -W "in request response out error all" -- "$word") && return ;;
	--log-format) mapfile -t COMPREPLY < <(compgen -W "auto text json logfmt" -- "$word") && return ;;
	esac
	if [[ $word == -* ]]; then
		options=$("$binary" "$verb" --help 2>/dev/null |
			sed -n 's/^  \(-[a-zA-Z]\), .*/\1/p; s/^  \(-[a-zA-Z], \|    \)\(--[a-z-]*\).*/\2/p')
		mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$word")
		return
	fi
	if [ "$COMP_CWORD" = 2 ]; then
		# Sub-commands stand in the usage line: "usage: millrace config show [-c] FILE | defaults | schema"
		options=$("$binary" "$verb" --help 2>/dev/null | sed -n "1s/^usage: millrace $verb //p" | tr ' |' '\n\n' |
			grep -E '^[a-z]+$')
		mapfile -t COMPREPLY < <(compgen -W "${options[*]}" -- "$word")
	fi
	mapfile -t options < <(compgen -f -- "$word")
	COMPREPLY+=("${options[@]}")
}
complete -o filenames -F _millrace millrace
