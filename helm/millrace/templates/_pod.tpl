{{/* What the engine's pods and the pod of `helm test` have in common. */}}

{{- define "millrace.pod.settings" -}}
serviceAccountName: {{ include "millrace.serviceAccount" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.initContainers }}
initContainers: {{- toYaml . | nindent 2 }}
{{- end }}
volumes: {{- include "millrace.volumes" . | trim | nindent 2 }}
{{- end -}}

{{- define "millrace.container.settings" -}}
image: {{ include "millrace.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts: {{- include "millrace.mounts" . | trim | nindent 2 }}
{{- end -}}

{{/* Where checkpoints are kept, unless a volume of the user's is mounted there. */}}
{{- define "millrace.checkpoint.dir" -}}
{{- $config := include "millrace.config.parsed" . | fromYaml -}}
{{- $dir := ($config.checkpoint | default dict).dir | default "" -}}
{{- range .Values.extraVolumeMounts -}}
{{- if or (eq .mountPath $dir) (hasPrefix (printf "%s/" .mountPath) $dir) }}{{ $dir = "" }}{{ end -}}
{{- end -}}
{{- $dir -}}
{{- end -}}

{{- define "millrace.volumes" -}}
- name: config
  configMap:
    name: {{ .Values.existingConfigMap | default (printf "%s-config" (include "millrace.fullname" .)) }}
{{- if include "millrace.scripts.mounted" . }}
- {{- include "millrace.scripts.volume" . | nindent 2 | trimPrefix "\n " }}
{{- end }}
{{- range $folder, $name := .Values.secrets }}
- name: {{ printf "secret-%s" $folder | quote }}
  secret:
    secretName: {{ $name | quote }}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmp.sizeLimit }}
{{- if include "millrace.checkpoint.dir" . }}
- name: checkpoint
  {{- toYaml .Values.checkpoint.volume | nindent 2 }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Whole folders, never subPath: Kubernetes does not update what is mounted by subPath. */}}
{{- define "millrace.mounts" -}}
- {name: config, mountPath: /etc/millrace/config, readOnly: true}
{{- if include "millrace.scripts.mounted" . }}
- {name: scripts, mountPath: /etc/millrace/scripts, readOnly: true}
{{- end }}
{{- range $folder, $name := .Values.secrets }}
- {name: {{ printf "secret-%s" $folder | quote }}, mountPath: {{ printf "/etc/millrace/secrets/%s" $folder | quote }}, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- with include "millrace.checkpoint.dir" . }}
- {name: checkpoint, mountPath: {{ . | quote }}}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
