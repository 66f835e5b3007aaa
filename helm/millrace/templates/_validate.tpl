{{/* What the schema cannot say: what contradicts, told all at once, each with what to set. */}}

{{- define "millrace.validate" -}}
{{- $wrong := list -}}
{{- $config := include "millrace.config.parsed" . | fromYaml -}}
{{- if and .Values.config .Values.existingConfigMap -}}
{{- $wrong = append $wrong "config and existingConfigMap are both set. Keep one: config is rendered by the chart, existingConfigMap is yours." -}}
{{- else if $config.Error -}}
{{- $wrong = append $wrong (printf "config is not YAML: %s" $config.Error) -}}
{{- else if not .Values.existingConfigMap -}}
{{- $checks := list "drain" "listen" "memory" "script" -}}
{{- range $check := $checks -}}
{{- with include (printf "millrace.validate.%s" $check) (dict "root" $ "config" $config) | trim -}}
{{- $wrong = append $wrong . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with include "millrace.validate.scripts" . | trim -}}
{{- $wrong = append $wrong . -}}
{{- end -}}
{{- if $wrong -}}
{{- include "millrace.fail" $wrong -}}
{{- end -}}
{{- end -}}

{{- define "millrace.fail" -}}
{{- fail (printf "\n\n  %s\n" (join "\n\n" . | replace "\n" "\n  ")) -}}
{{- end -}}

{{/* The configuration as a map; empty where it is the user's own ConfigMap. */}}
{{- define "millrace.config.parsed" -}}
{{- if .Values.existingConfigMap }}{}{{ else }}{{ include "millrace.config" . }}{{ end -}}
{{- end -}}

{{/* "25s" -> 25000, in ms; nothing for what is no duration, such as ${DRAIN}. */}}
{{- define "millrace.ms" -}}
{{- $text := toString . -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?(ms|s|m|h|d)$" $text -}}
{{- $factors := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- $factor := get $factors (regexFind "[a-z]+$" $text) -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) $factor | printf "%.0f" -}}
{{- else if eq $text "0" -}}0
{{- end -}}
{{- end -}}

{{/* "1Gi" (Kubernetes) or "1GiB" (Millrace) -> bytes; nothing for what is no size. */}}
{{- define "millrace.bytes" -}}
{{- $text := kindIs "string" . | ternary . (printf "%.0f" (float64 .)) -}}
{{- if regexMatch "^[0-9]+([.][0-9]+)?([kKMGT]i?B?|B)?$" $text -}}
{{- $factors := dict "" 1 "k" 1000 "K" 1000 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $factor := get $factors (regexFind "[kKMGTi]*B?$" $text | trimSuffix "B") -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (float64 $factor) | printf "%.0f" -}}
{{- end -}}
{{- end -}}

{{- define "millrace.validate.drain" -}}
{{- $drain := .config.drain | default "25s" -}}
{{- $grace := int64 .root.Values.terminationGracePeriodSeconds -}}
{{- with include "millrace.ms" $drain -}}
{{- if gt (add (int64 .) 5000) (mul $grace 1000) -}}
config.drain is {{ $drain }}, but Kubernetes kills the pod after terminationGracePeriodSeconds = {{ $grace }}.
A stop needs `drain`, and up to 5 s for the last commits. Set terminationGracePeriodSeconds to
{{ div (add (int64 .) 5999) 1000 }} or more, or lower config.drain.
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "millrace.validate.listen" -}}
{{- $listen := (.config.admin | default dict).listen | default "127.0.0.1:9464" -}}
{{- $port := int .root.Values.admin.port -}}
{{- if not (has $listen (list (printf "0.0.0.0:%d" $port) (printf "[::]:%d" $port))) -}}
config.admin.listen is {{ $listen }}, where the probes of the pod cannot reach it.
{{- if kindIs "string" .root.Values.config }}
Write `admin: {listen: "0.0.0.0:{{ $port }}"}` into the configuration.
{{- else }}
Leave it out: the chart makes it of admin.port ({{ $port }}).
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The same sum as `millrace check` makes when the container starts. */}}
{{- define "millrace.validate.memory" -}}
{{- $limit := ((.root.Values.resources | default dict).limits | default dict).memory -}}
{{- $given := (.config.limits | default dict).memory | default "auto" -}}
{{- $mib := 1048576 -}}
{{- $bodies := list -}}
{{- $http := .config.http | default dict -}}
{{- range $upstream := $http.upstreams | default (dict "default" dict) -}}
{{- $bodies = append $bodies (include "millrace.bytes" (($upstream | default dict).max_body | default "56MiB")) -}}
{{- end -}}
{{- $script := include "millrace.bytes" ((.config.script | default dict).memory | default "128MiB") -}}
{{- $known := and $script (not (has "" $bodies)) -}}
{{- if not $limit -}}
resources.limits.memory is not set. Set it: `limits.memory: auto` is 70 % of it, and without it a
quarter of the node's memory.
{{- else if not (include "millrace.bytes" $limit) -}}
resources.limits.memory is {{ $limit }}: expected a size such as 1Gi or 800Mi.
{{- else -}}
{{- $limit = include "millrace.bytes" $limit | int64 -}}
{{- $share := mul (div $limit 10) 7 -}}
{{- if ne $given "auto" -}}
{{- $share = include "millrace.bytes" $given | default "-1" | int64 -}}
{{- end -}}
{{- $body := 0 -}}
{{- range $bodies }}{{ $body = max $body (. | default "0" | int64) }}{{ end -}}
{{- $needed := add (mul 48 $mib) ($script | default "0" | int64) (mul 4 $body) -}}
{{- if and $known (ge $share 0) (lt $share $needed) -}}
resources.limits.memory is {{ div $limit $mib }} MiB, of which the engine may use {{ div $share $mib }} MiB (limits.memory: {{ $given }}{{ if eq $given "auto" }}, 70 %{{ end }}).
It needs {{ div (add $needed (sub $mib 1)) $mib }} MiB:
  {{ printf "%5d" 48 }} MiB  the engine
  {{ div ($script | int64) $mib | printf "%5d" }} MiB  config.script.memory
  {{ div (mul 4 $body) $mib | printf "%5d" }} MiB  four times the largest max_body of config.http.upstreams
{{ if eq $given "auto" -}}
Set resources.limits.memory to {{ div (add (mul (div (add $needed 6) 7) 10) (sub $mib 1)) $mib }}Mi or more, or lower one of the two.
{{- else -}}
Raise config.limits.memory, or lower one of the two.
{{- end -}}
{{- else if gt $share (mul (div $limit 10) 9) -}}
config.limits.memory is {{ $given }}, but the container may have {{ div $limit $mib }} MiB in all (resources.limits.memory).
Code, threads and the allocator need some of it: leave config.limits.memory out (auto: 70 %), set it to
{{ div (mul (div $limit 10) 9) $mib }}MiB or less, or raise resources.limits.memory.
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The script that runs must be one that is mounted, or in the image. A path is relative to the configuration's folder,
     so "../scripts/" is what a clone, docker/compose.yaml and the pod have in common. */}}
{{- define "millrace.validate.script" -}}
{{- $path := (.config.script | default dict).path | default "" | replace "../scripts/" "/etc/millrace/scripts/" -}}
{{- $values := .root.Values.scripts -}}
{{- if contains "${" $path -}}
{{- else if and (hasPrefix "/etc/millrace/scripts/" $path) (ne $path "/etc/millrace/scripts/") -}}
{{- $name := trimPrefix "/etc/millrace/scripts/" $path -}}
{{- $names := keys ($values.inline | default dict) | sortAlpha -}}
{{- range $values.items }}{{ $names = append $names .path }}{{ end -}}
{{- $unknown := and $values.existingConfigMap (not $values.items) -}}
{{- if and $unknown (contains "/" $name) (not (has $name $names)) -}}
The script is to be {{ $name }}, but a ConfigMap's keys cannot hold a '/'. Map them:
  scripts:
    items: [{key: {{ include "millrace.scripts.key" $name }}, path: {{ $name }}}]
{{- else if not (or $unknown (has $name $names)) -}}
The script is to be {{ $name }}, but scripts.inline and scripts.items have {{ $names | join ", " | default "none" }}.
{{- end -}}
{{- else if eq $path "/etc/millrace/scripts/" -}}
It is not clear which script runs. Set scripts.main to the name of its file.
{{- else if not (hasPrefix "/" $path) -}}
config.script.path is {{ $path | default "not set" }}. In the pod scripts are in /etc/millrace/scripts/ (those under `scripts`) and
/usr/share/millrace/scripts/ (the image's).{{ if not (kindIs "string" .root.Values.config) }} Leave it out and set scripts.main, or give the whole path.{{ end }}
{{- end -}}
{{- end -}}

{{- define "millrace.validate.scripts" -}}
{{- $size := 0 -}}
{{- $keys := dict -}}
{{- range $name, $text := .Values.scripts.inline -}}
{{- $size = add $size (len $text) -}}
{{- $key := include "millrace.scripts.key" $name -}}
{{- if hasKey $keys $key }}
scripts.inline: {{ get $keys $key }} and {{ $name }} both become the key {{ $key }}. Rename one.
{{- end -}}
{{- $_ := set $keys $key $name -}}
{{- end -}}
{{- if gt $size 1000000 }}
scripts.inline: {{ $size }} bytes do not fit into a ConfigMap (1 MiB). Put scripts into the image, or into several
ConfigMaps that you mount by extraVolumes.
{{- end -}}
{{- range .Values.scripts.items -}}
{{- if hasKey ($.Values.scripts.inline | default dict) .path }}
scripts: {{ .path }} is in inline and in items, too. Keep one.
{{- end -}}
{{- end -}}
{{- if and .Values.scripts.items (not .Values.scripts.existingConfigMap) }}
scripts.items says what the keys of scripts.existingConfigMap become, but that is not set.
{{- end -}}
{{- end -}}
