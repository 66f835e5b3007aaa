{{/* Where scripts are, and which one runs. */}}

{{- define "millrace.scripts.mounted" -}}
{{- if or .Values.scripts.inline .Values.scripts.existingConfigMaps }}true{{ end -}}
{{- end -}}

{{/* A ConfigMap's keys cannot hold a '/': lib/shared.lua is kept under lib__shared.lua. */}}
{{- define "millrace.scripts.key" -}}
{{- . | replace "/" "__" -}}
{{- end -}}

{{/* The path of the script that runs. */}}
{{- define "millrace.scripts.path" -}}
{{- if include "millrace.scripts.mounted" . -}}
/etc/millrace/scripts/{{ include "millrace.scripts.main" . }}
{{- else -}}
/usr/share/millrace/scripts/{{ .Values.scripts.main | default "page_content_change.lua" }}
{{- end -}}
{{- end -}}

{{/* The name of the script that runs: the one said, else the only one that is no module of others. */}}
{{- define "millrace.scripts.main" -}}
{{- $names := list -}}
{{- range $name, $text := .Values.scripts.inline -}}
{{- if and (not (contains "/" $name)) (hasSuffix ".lua" $name) }}{{ $names = append $names $name }}{{ end -}}
{{- end -}}
{{- if .Values.scripts.main -}}
{{- .Values.scripts.main -}}
{{- else if and (eq (len $names) 1) (not .Values.scripts.existingConfigMaps) -}}
{{- first $names -}}
{{- end -}}
{{- end -}}

{{/* The folder /etc/millrace/scripts as a volume of a pod in its role. */}}
{{- define "millrace.scripts.volume" -}}
name: scripts
projected:
  sources:
    {{- range .root.Values.scripts.existingConfigMaps }}
    - configMap:
        name: {{ .name }}
        {{- with .items }}
        items: {{- toYaml . | nindent 10 }}
        {{- end }}
    {{- end }}
    {{- if .root.Values.scripts.inline }}
    - configMap:
        name: {{ include "millrace.files" (dict "root" .root "role" .role "what" "scripts") }}
        items:
          {{- range $name, $text := .root.Values.scripts.inline }}
          - {key: {{ include "millrace.scripts.key" $name | quote }}, path: {{ $name | quote }}}
          {{- end }}
    {{- end }}
{{- end -}}
