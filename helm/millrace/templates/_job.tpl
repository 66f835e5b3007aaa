{{/* A bounded run. */}}

{{/* A group of its own for these bounds: other bounds are another run. */}}
{{- define "millrace.job.group" -}}
{{- $bounds := printf "%s %s" .Values.job.from .Values.job.until | sha256sum | trunc 8 -}}
{{- .Values.job.group | default (printf "%s-%s" (include "millrace.fullname" .) $bounds) -}}
{{- end -}}

{{/* --resume: the pod after one that failed goes on where that one was. */}}
{{- define "millrace.job.args" -}}
- --group
- {{ include "millrace.job.group" . | quote }}
{{- with .Values.job.from }}
- --from
- {{ . | quote }}
{{- end }}
- --until
- {{ .Values.job.until | quote }}
- --resume
{{- end -}}

{{/* The pods of a Job cannot be changed: other pods are another Job. */}}
{{- define "millrace.job.name" -}}
{{- include "millrace.fullname" . }}-{{ include "millrace.workload.template" . | sha256sum | trunc 8 }}
{{- end -}}
