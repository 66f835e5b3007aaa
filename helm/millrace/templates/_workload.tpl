{{/* The engine's pods, whatever makes them: a Deployment, a StatefulSet or a Job. */}}

{{- define "millrace.workload.metadata" -}}
namespace: {{ .Release.Namespace }}
labels: {{- include "millrace.labels" . | nindent 2 }}
{{- with .Values.annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Nothing where an autoscaler says it. */}}
{{- define "millrace.workload.replicas" -}}
{{- if and (eq .Values.autoscaling.mode "none") (not (kindIs "invalid" .Values.replicas)) -}}
replicas: {{ .Values.replicas }}
{{- end -}}
{{- end -}}

{{- define "millrace.workload.template" -}}
metadata:
  labels:
    {{- include "millrace.selectorLabels" . | nindent 4 }}
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: millrace
    {{- if and (eq .Values.reload.config "restart") (not .Values.existingConfigMap) }}
    checksum/config: {{ include "millrace.config.fixed" . | sha256sum }}
    {{- end }}
    {{- if and (eq .Values.reload.scripts "restart") .Values.scripts.inline }}
    checksum/scripts: {{ .Values.scripts.inline | toJson | sha256sum }}
    {{- end }}
    {{- if .Values.metrics.annotations }}
    prometheus.io/scrape: "true"
    prometheus.io/port: {{ .Values.admin.port | quote }}
    prometheus.io/path: /metrics
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- if eq .Values.kind "Job" }}
  restartPolicy: {{ .Values.job.restartPolicy }}
  {{- end }}
  {{- include "millrace.pod.settings" (dict "root" . "role" "engine") | nindent 2 }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $own := dict "labelSelector" (dict "matchLabels" (include "millrace.selectorLabels" $ | fromYaml)) }}
    - {{- toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 6 }}
    {{- end }}
  {{- end }}
  containers:
    - name: millrace
      args:
        - run
        - -c
        - /etc/millrace/config/millrace.yaml
        {{- if eq .Values.kind "Job" }}
        {{- include "millrace.job.args" . | nindent 8 }}
        {{- end }}
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- include "millrace.container.settings" . | nindent 6 }}
      ports:
        - {name: admin, containerPort: {{ .Values.admin.port }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.startup | nindent 8 }}
      livenessProbe:
        httpGet: {path: /livez, port: admin}
        {{- toYaml .Values.probes.liveness | nindent 8 }}
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        {{- toYaml .Values.probes.readiness | nindent 8 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
