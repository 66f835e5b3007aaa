{{/* The configuration as the engine reads it: text, whatever way it was given. */}}
{{- define "millrace.config" -}}
{{- if and .Values.config (kindIs "string" .Values.config) -}}
{{ .Values.config }}
{{- else -}}
{{- include "millrace.config.mapping" (dict "map" (include "millrace.config.map" . | fromYaml) "at" "") | trim }}
{{- end -}}
{{- end -}}

{{- define "millrace.config.map" -}}
{{- $given := .Values.config | default (include "millrace.config.example" . | fromYaml) -}}
{{- mergeOverwrite (include "millrace.config.defaults" . | fromYaml) (deepCopy $given) | toYaml -}}
{{- end -}}

{{/* What of it takes new pods to change: all, but script.params where the engine sees a change of them by itself. In a
     text they cannot be told apart. */}}
{{- define "millrace.config.fixed" -}}
{{- if or (and .Values.config (kindIs "string" .Values.config)) (ne .Values.reload.scripts "watch") -}}
{{ include "millrace.config" . }}
{{- else -}}
{{- $config := include "millrace.config.map" . | fromYaml -}}
{{- $config = set $config "script" (omit $config.script "params") -}}
{{- include "millrace.config.mapping" (dict "map" $config "at" "") -}}
{{- end -}}
{{- end -}}

{{/* What a map need not say, since the chart knows it. */}}
{{- define "millrace.config.defaults" -}}
script:
  path: {{ include "millrace.scripts.path" . }}
  reload: {{ eq .Values.reload.scripts "watch" | ternary "watch" "off" | quote }}
{{- if .Values.statefulSet.staticMembership }}
source:
  kafka: {group.instance.id: "${POD_NAME}"}
{{- end }}
admin:
  listen: {{ printf "0.0.0.0:%d" (int .Values.admin.port) | quote }}
{{- end -}}

{{/* The job of a release without a configuration: the shipped script, on brokers and an API with plain names. */}}
{{- define "millrace.config.example" -}}
name: page-content-change
source:
  topics: [mediawiki.page_change.v1]
  kafka: {bootstrap.servers: "kafka:9092"}
http:
  user_agent: "millrace/1.0 (example job of the Helm chart)"
  upstreams:
    mediawiki: {url: "http://mediawiki/w/api.php"}
key: [{wiki_id: wiki_id}, {page_id: page.page_id}]
sink:
  stream: mediawiki.page_content_change.v1
  kafka: {bootstrap.servers: "kafka:9092"}
{{- end -}}

{{/* A map as YAML text. Go templates sort the names of a map, but the order of some means something: there a list of
     single pairs stands for a map in that order. */}}
{{- define "millrace.config.mapping" -}}
{{- $at := .at -}}
{{- range $name, $value := .map }}
{{- $path := printf "%s.%s" $at $name }}
{{- $ordered := regexMatch "^[.](key|http[.]upstreams|sinks|sink[.]key|sinks[.][^.]+[.]key)$" $path }}
{{- $deeper := regexMatch "^[.](http|sink|sinks|sinks[.][^.]+)$" $path }}
{{- if and $ordered (kindIs "slice" $value) }}
{{ include "millrace.config.name" $name }}
{{- range $value }}
{{- include "millrace.config.mapping" (dict "map" . "at" $path) | trim | nindent 2 }}
{{- end }}
{{- else if and $ordered (kindIs "map" $value) (gt (len $value) 1) }}
{{- include "millrace.fail" (list (include "millrace.config.unordered" (dict "path" $path "map" $value))) }}
{{- else if and $deeper (kindIs "map" $value) $value }}
{{ include "millrace.config.name" $name }}
{{- include "millrace.config.mapping" (dict "map" $value "at" $path) | trim | nindent 2 }}
{{- else }}
{{ toYaml (dict $name $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "millrace.config.name" -}}
{{- toYaml (dict . nil) | trimSuffix " null" -}}
{{- end -}}

{{- define "millrace.config.unordered" -}}
config{{ .path }} is a map of several names, and Helm sorts them; but here their order means something
({{ if hasSuffix "key" .path }}it is that of the members of the Kafka key{{ else }}the first one is the default{{ end }}). Write a list of single pairs:
  {{ regexReplaceAll "^.*[.]" .path "" }}:
{{- range $name, $value := .map }}
    - {{ $name }}: {{ kindIs "map" $value | ternary "{...}" $value }}
{{- end }}
{{- end -}}
