{{/* What the engine's pods and those that check for it (of `helm test`, of the hooks before and after a release) have in
     common. They get (dict "root" $ "role" "engine" | "test" | "before" | "after"). */}}

{{- define "millrace.pod.settings" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- /* Before a release its ServiceAccount is not there. */}}
{{- if or (ne .role "before") (not .root.Values.serviceAccount.create) }}
serviceAccountName: {{ include "millrace.serviceAccount" .root }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if ne .role "after" }}
{{- if or .root.Values.initContainers .first }}
initContainers:
  {{- with .root.Values.initContainers }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .first }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}
volumes: {{- include "millrace.volumes" . | trim | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "millrace.container.settings" -}}
image: {{ include "millrace.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if or .Values.extraEnv .Values.statefulSet.staticMembership }}
env:
  {{- if .Values.statefulSet.staticMembership }}
  - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
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
{{- $dir := .Values.checkpoint.dir | default ($config.checkpoint | default dict).dir | default "" -}}
{{- range .Values.extraVolumeMounts -}}
{{- if or (eq .mountPath $dir) (hasPrefix (printf "%s/" .mountPath) $dir) }}{{ $dir = "" }}{{ end -}}
{{- end -}}
{{- $dir -}}
{{- end -}}

{{/* The ConfigMap of the release's configuration or scripts; the hook before it has copies of the new ones. */}}
{{- define "millrace.files" -}}
{{- include "millrace.fullname" .root }}-{{ if eq .role "before" }}new-{{ end }}{{ .what }}
{{- end -}}

{{- define "millrace.volumes" -}}
- name: config
  configMap:
    name: {{ .root.Values.existingConfigMap | default (include "millrace.files" (dict "root" .root "role" .role "what" "config")) }}
{{- if include "millrace.scripts.mounted" .root }}
- {{- include "millrace.scripts.volume" . | nindent 2 | trimPrefix "\n " }}
{{- end }}
{{- range $folder, $name := .root.Values.secrets }}
- name: {{ printf "secret-%s" $folder | quote }}
  secret:
    secretName: {{ $name | quote }}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .root.Values.tmp.sizeLimit }}
{{- if include "millrace.checkpoint.dir" .root }}
{{- if ne .role "engine" }}
- {name: checkpoint, emptyDir: {sizeLimit: 64Mi}} # the engine's own is the engine's alone
{{- else if not .root.Values.checkpoint.claim.enabled }}
- name: checkpoint
  {{- toYaml .root.Values.checkpoint.volume | nindent 2 }}
{{- end }}
{{- end }}
{{- with .root.Values.extraVolumes }}
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
