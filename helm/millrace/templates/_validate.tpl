{{/* What the schema cannot say: what contradicts, told all at once, each with what to set. */}}

{{- define "millrace.validate" -}}
{{- $wrong := list -}}
{{- $config := include "millrace.config.parsed" . | fromYaml -}}
{{- if and .Values.config .Values.existingConfigMap -}}
{{- $wrong = append $wrong "config and existingConfigMap are both set. Keep one: config is rendered by the chart, existingConfigMap is yours." -}}
{{- else if $config.Error -}}
{{- $wrong = append $wrong (printf "config is not YAML: %s" $config.Error) -}}
{{- else if not .Values.existingConfigMap -}}
{{- $checks := list "drain" "listen" "memory" "script" "group" "keda" -}}
{{- range $check := $checks -}}
{{- with include (printf "millrace.validate.%s" $check) (dict "root" $ "config" $config) | trim -}}
{{- $wrong = append $wrong . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $check := list "scripts" "job" "statefulset" "autoscaling" "mounted" -}}
{{- with include (printf "millrace.validate.%s" $check) $ | trim -}}
{{- $wrong = append $wrong . -}}
{{- end -}}
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
{{- $unknown := "" -}}
{{- range $values.existingConfigMaps -}}
{{- range .items }}{{ $names = append $names .path }}{{ end -}}
{{- if not .items }}{{ $unknown = .name }}{{ end -}}
{{- end -}}
{{- if and $unknown (contains "/" $name) (not (has $name $names)) -}}
The script is to be {{ $name }}, but a ConfigMap's keys cannot hold a '/'. Map them:
  scripts:
    existingConfigMaps: [{name: {{ $unknown }}, items: [{key: {{ include "millrace.scripts.key" $name }}, path: {{ $name }}}]}]
{{- else if not (or $unknown (has $name $names)) -}}
The script is to be {{ $name }}, but scripts.inline and scripts.existingConfigMaps have {{ $names | join ", " | default "none" }}.
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
{{- $paths := dict -}}
{{- range $name, $text := .Values.scripts.inline }}{{ $_ := set $paths $name "inline" }}{{ end -}}
{{- range $map := .Values.scripts.existingConfigMaps -}}
{{- range $map.items -}}
{{- if hasKey $paths .path }}
scripts: {{ .path }} is in {{ get $paths .path }} and in {{ $map.name }}, too. Keep one.
{{- end -}}
{{- $_ := set $paths .path $map.name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A run that ends, and what makes pods for it, go together. */}}
{{- define "millrace.validate.job" -}}
{{- $job := .Values.job -}}
{{- if eq .Values.kind "Job" -}}
{{- if not $job.until }}
kind is Job, but job.until is not set: the run would never end. Set job.until to `end` or to a time that has been,
such as 2026-11-01T00:00:00Z; or set kind to Deployment.
{{- else if not (or (eq $job.until "end") (regexMatch "^[0-9]" $job.until)) }}
job.until is {{ $job.until }}. Set it to `end` or to a time that has been, such as 2026-11-01T00:00:00Z.
{{- end }}
{{- if eq $job.from "end" }}
job.from is end. Set it to `earliest`, `latest` or a time such as 2026-11-01T00:00:00Z.
{{- end }}
{{- if gt (int (.Values.replicas | default 1)) 1 }}
kind is Job, and replicas is {{ .Values.replicas }}: one pod does a bounded run. Leave replicas at 1.
{{- end }}
{{- else }}
{{- $set := list -}}
{{- range $name := list "from" "until" "group" }}{{ if get $job $name }}{{ $set = append $set (printf "job.%s" $name) }}{{ end }}{{ end -}}
{{- if $set }}
{{ $set | join ", " }} {{ eq (len $set) 1 | ternary "is" "are" }} set, but kind is {{ .Values.kind }}, whose pods run for ever{{ if $job.until }} and would begin again
at each end{{ end }}. Set kind to Job, or leave {{ eq (len $set) 1 | ternary "it" "them" }} out.
{{- end }}
{{- range .Values.extraArgs }}
{{- if regexMatch "^--(until|from)(=|$)" . }}
extraArgs has {{ . }}, but kind is {{ $.Values.kind }}. Set kind to Job, and job.from and job.until.
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "millrace.validate.statefulset" -}}
{{- if ne .Values.kind "StatefulSet" -}}
{{- if .Values.statefulSet.staticMembership }}
statefulSet.staticMembership is on, but kind is {{ .Values.kind }}, whose pods get new names: each restart would leave
a member behind that idles its partitions. Set kind to StatefulSet, or turn it off.
{{- end }}
{{- if .Values.checkpoint.claim.enabled }}
checkpoint.claim is enabled, but kind is {{ .Values.kind }}, whose pods have no volumes of their own. Set kind to
StatefulSet, or name a claim that all pods share (ReadWriteMany) in checkpoint.volume.
{{- end }}
{{- else if and .Values.checkpoint.claim.enabled (not (include "millrace.checkpoint.dir" .)) }}
checkpoint.claim is enabled, but nothing would be written there. Set {{ empty .Values.existingConfigMap | not | ternary "checkpoint.dir to what checkpoint.dir in your ConfigMap says" "config.checkpoint.dir, such as /var/lib/millrace" }}.
{{- end -}}
{{- end -}}

{{/* A lasting name in the consumer group wants a lasting pod. */}}
{{- define "millrace.validate.group" -}}
{{- $source := .config.source | default dict -}}
{{- $id := get ($source.kafka | default dict) "group.instance.id" | default "" -}}
{{- $static := .root.Values.statefulSet.staticMembership -}}
{{- $own := contains "${POD_NAME" $id -}}
{{- if and $static (not $own) }}
statefulSet.staticMembership is on, but source.kafka has {{ if $id }}group.instance.id: {{ $id }}, which all pods would share{{ else }}no group.instance.id{{ end }}.
{{ kindIs "string" .root.Values.config | ternary "Write `group.instance.id: \"${POD_NAME}\"` into source.kafka of the configuration." "Leave it out: the chart writes ${POD_NAME}." }}
{{- else if and $id (not $static) (ne .root.Values.kind "Job") }}
source.kafka has group.instance.id: {{ $id }}. Two pods with one id throw each other out, and a new pod of a Deployment
begins before the old one has gone. Leave it out; or set kind to StatefulSet and statefulSet.staticMembership to true.
{{- end }}
{{- if and (eq .root.Values.kind "Job") .root.Values.job.group (eq .root.Values.job.group ($source.group | default .config.name | toString)) }}
job.group is {{ .root.Values.job.group }}, the group of the job that runs for ever: the bounded run would move its positions.
Set job.group to a name of its own, or leave it out.
{{- end }}
{{- end -}}

{{- define "millrace.validate.autoscaling" -}}
{{- $auto := .Values.autoscaling -}}
{{- if ne $auto.mode "none" -}}
{{- if eq .Values.kind "Job" }}
autoscaling.mode is {{ $auto.mode }}, but kind is Job. Set autoscaling.mode to none.
{{- end }}
{{- if gt (int $auto.minReplicas) (int $auto.maxReplicas) }}
autoscaling.minReplicas is {{ $auto.minReplicas }}, autoscaling.maxReplicas {{ $auto.maxReplicas }}. Set maxReplicas to {{ $auto.minReplicas }} or more.
{{- end }}
{{- if eq $auto.mode "hpa" }}
{{- if and $auto.hpa.targetCPUUtilizationPercentage (not ((.Values.resources | default dict).requests | default dict).cpu) }}
autoscaling.hpa is by per cent of resources.requests.cpu, which is not set. Set it.
{{- end }}
{{- if not (or $auto.hpa.targetCPUUtilizationPercentage $auto.hpa.metrics) }}
autoscaling.mode is hpa, but there is nothing to go by. Set autoscaling.hpa.targetCPUUtilizationPercentage or hpa.metrics.
{{- end }}
{{- if eq (int $auto.minReplicas) 0 }}
autoscaling.minReplicas is 0, which a HorizontalPodAutoscaler does not do. Set it to 1 or more.
{{- end }}
{{- end }}
{{- if and (eq $auto.mode "keda") .Values.existingConfigMap (not $auto.keda.triggers) }}
autoscaling.mode is keda, but brokers, group and topics are in your ConfigMap {{ .Values.existingConfigMap }}, which the chart cannot look
into. Set autoscaling.keda.triggers.
{{- end }}
{{- end -}}
{{- end -}}

{{/* KEDA asks the brokers itself, so the chart must know them, and KEDA must have what lets it in. */}}
{{- define "millrace.validate.keda" -}}
{{- $auto := .root.Values.autoscaling -}}
{{- if and (eq $auto.mode "keda") (not $auto.keda.triggers) -}}
{{- $source := .config.source | default dict -}}
{{- $kafka := $source.kafka | default dict -}}
{{- $brokers := get $kafka "bootstrap.servers" | default "" | toString -}}
{{- $group := $source.group | default .config.name | default "" | toString -}}
{{- $topics := $source.topics | default list -}}
{{- if or (not $brokers) (contains "${" $brokers) (contains "file:" $brokers) }}
autoscaling.mode is keda, but KEDA cannot know the brokers: source.kafka's bootstrap.servers is {{ $brokers | default "not set" }}.
Write them there, or set autoscaling.keda.triggers.
{{- end }}
{{- if or (not $group) (contains "${" $group) }}
autoscaling.mode is keda, but KEDA cannot know the group: {{ $group | default "neither name nor source.group is set" }}. Set source.group, or
autoscaling.keda.triggers.
{{- end }}
{{- range $topics }}
{{- if or (hasPrefix "^" .) (contains "${" .) }}
autoscaling.mode is keda, but KEDA cannot know the topics that are called {{ . }}. Set autoscaling.keda.triggers.
{{- end }}
{{- end }}
{{- if and (not $topics) (or (not $source.stream) .config.streams) }}
autoscaling.mode is keda, but KEDA cannot know the topics of {{ $source.stream | default "a source without topics" }}{{ if .config.streams }}: they are what streams says{{ end }}. Set source.topics, or
autoscaling.keda.triggers.
{{- end }}
{{- $protocol := get $kafka "security.protocol" | default "plaintext" | toString | lower -}}
{{- if and (ne $protocol "plaintext") (not $auto.keda.authenticationRef) (not (hasKey ($auto.keda.metadata | default dict) "tls")) }}
autoscaling.mode is keda, and the brokers want {{ $protocol }}. KEDA asks them itself: set autoscaling.keda.authenticationRef to
a TriggerAuthentication with {{ contains "sasl" $protocol | ternary "sasl, username, password and tls" "tls, ca, cert and key" }}{{ if eq $protocol "ssl" }}; or autoscaling.keda.metadata to {tls: enable}{{ end }}.
{{- end }}
{{- end -}}
{{- end -}}

{{/* The hook before an install mounts what the release only makes afterwards: it would wait for it in vain. */}}
{{- define "millrace.validate.mounted" -}}
{{- if and .Values.hooks.check.enabled .Release.IsInstall -}}
{{- $mounted := list .Values.existingConfigMap -}}
{{- range .Values.scripts.existingConfigMaps }}{{ $mounted = append $mounted .name }}{{ end -}}
{{- range .Values.secrets }}{{ $mounted = append $mounted . }}{{ end -}}
{{- range .Values.extraVolumes }}
{{- $mounted = concat $mounted (list (.configMap | default dict).name (.secret | default dict).secretName) }}
{{- end -}}
{{- range .Values.extraObjects -}}
{{- $object := . -}}
{{- if kindIs "string" . }}{{ $object = tpl . $ | fromYaml }}{{ end -}}
{{- $metadata := $object.metadata | default dict -}}
{{- $hook := hasKey ($metadata.annotations | default dict) "helm.sh/hook" -}}
{{- if and (has $object.kind (list "ConfigMap" "Secret")) $metadata.name (has $metadata.name $mounted) (not $hook) }}
extraObjects has the {{ $object.kind }} {{ $metadata.name }}, which is mounted; but before the install `millrace check` runs with
it (hooks.check), and it is not there yet. Make it apart from this release; or give it the annotations
  helm.sh/hook: pre-install,pre-upgrade
  helm.sh/hook-weight: "-20"
or set hooks.check.enabled to false.
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
