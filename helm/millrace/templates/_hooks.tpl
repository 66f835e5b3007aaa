{{/* Jobs that Helm runs around a release. */}}

{{/* ConfigMaps that the hook reads are hooks, too: the release's own are not there yet, or are still those of before. */}}
{{- define "millrace.hook.before" -}}
helm.sh/hook: pre-install,pre-upgrade
{{- end -}}

{{/* The files as an object's data: what configmap-*.yaml and the hook's copies have in common. */}}
{{- define "millrace.config.data" -}}
{{- toYaml (dict "millrace.yaml" (printf "%s\n" (include "millrace.config" . | trim))) -}}
{{- end -}}

{{- define "millrace.scripts.data" -}}
{{- $files := dict -}}
{{- range $name, $text := .Values.scripts.inline -}}
{{- $_ := set $files (include "millrace.scripts.key" $name) $text -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* A Job that is tried once, and again only when its node took it away. */}}
{{- define "millrace.hook.spec" -}}
backoffLimit: 0
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
{{- end -}}

{{/* Before `check`, so that the pod needs room for one of the two. */}}
{{- define "millrace.hook.test" -}}
{{- if include "millrace.scripts.mounted" . -}}
- name: test
  args:
    - test
    - --allow-none
    - /etc/millrace/scripts
    {{- /* What lies in a folder is behind a link, which the tests of a folder do not follow. */}}
    {{- range $name, $text := .Values.scripts.inline }}
    {{- if and (contains "/" $name) (hasSuffix "_test.yaml" $name) }}
    - {{ printf "/etc/millrace/scripts/%s" $name | quote }}
    {{- end }}
    {{- end }}
  {{- include "millrace.container.settings" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "millrace.hook.labels" -}}
{{- include "millrace.releaseLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Scripts that the release brings and the engine takes by itself can be waited for: the chart knows their sums. */}}
{{- define "millrace.hook.waits" -}}
{{- $values := .Values -}}
{{- $may := list $values.hooks.reload.enabled (eq $values.reload.scripts "watch") (ne $values.kind "Job") -}}
{{- $main := include "millrace.scripts.main" . -}}
{{- $known := hasKey ($values.scripts.inline | default dict) $main -}}
{{- $path := ((include "millrace.config.parsed" . | fromYaml).script | default dict).path | default "" -}}
{{- $reload := ((include "millrace.config.parsed" . | fromYaml).script | default dict).reload | default "watch" -}}
{{- if and (not (has false $may)) $known (hasSuffix (printf "/%s" $main) $path) (eq (toString $reload) "watch") (gt (include "millrace.hook.pods" . | int) 0) -}}
true
{{- end -}}
{{- end -}}

{{/* The sums of the script and of the modules below its folder, as `script.files` in the engine's status names them. */}}
{{- define "millrace.hook.expected" -}}
{{- $folder := regexFind "^.*/" (include "millrace.scripts.main" .) -}}
{{- range $name, $text := .Values.scripts.inline }}
{{- if and (hasSuffix ".lua" $name) (hasPrefix $folder $name) }}
- {{ printf "--expect=%s=%s" (trimPrefix $folder $name) (sha256sum $text) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How many pods there are at least. */}}
{{- define "millrace.hook.pods" -}}
{{- if has .Values.autoscaling.mode (list "hpa" "keda") -}}
{{ .Values.autoscaling.minReplicas }}
{{- else if or (eq .Values.autoscaling.mode "external") (kindIs "invalid" .Values.replicas) -}}
1
{{- else -}}
{{ .Values.replicas }}
{{- end -}}
{{- end -}}
