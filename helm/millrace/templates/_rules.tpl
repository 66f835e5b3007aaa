{{/* rules/millrace.yaml with this release's selector, thresholds, labels and links, as the groups of a PrometheusRule. */}}

{{/* The series of the release's own pods, and of no other's, a Job's neither: Kubernetes makes the endings of a
Deployment's pods without vowels. */}}
{{- define "millrace.rules.selector" -}}
{{- $pods := printf "%s-[b-df-hj-np-tv-z2-9-]+" (include "millrace.fullname" .) -}}
{{- .Values.metrics.prometheusRule.selector | default (printf "namespace=%q,pod=~%q" .Release.Namespace $pods) -}}
{{- end -}}

{{/* Takes (dict "root" $ "expr" TEXT). */}}
{{- define "millrace.rules.expr" -}}
{{- $expr := replace "job=\"millrace\"" (include "millrace.rules.selector" .root) .expr -}}
{{- range $name, $value := .root.Values.metrics.prometheusRule.thresholds -}}
{{- $expr = regexReplaceAll (printf "[0-9.]+(\\s+# thresholds[.]%s\\b)" $name) $expr (printf "%v${1}" $value) -}}
{{- end -}}
{{- $expr -}}
{{- end -}}

{{/* Takes (dict "root" $ "rule" RULE "own" what metrics.prometheusRule.alerts says of it). */}}
{{- define "millrace.rules.alert" -}}
{{- $rules := .root.Values.metrics.prometheusRule -}}
{{- $severity := .own.severity | default (get $rules.severity .rule.labels.severity) -}}
{{- $labels := dict "severity" $severity "namespace" .root.Release.Namespace "release" .root.Release.Name -}}
{{- with $rules.team }}{{ $_ := set $labels "team" . }}{{ end -}}
{{- $annotations := .rule.annotations -}}
{{- with $rules.runbook }}{{ $_ := set $annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" .) $.rule.alert) }}{{ end -}}
{{- with $rules.dashboard }}{{ $_ := set $annotations "dashboard_url" . }}{{ end -}}
{{- $alert := dict "alert" .rule.alert "labels" $labels "annotations" $annotations -}}
{{- $_ := set $alert "expr" (include "millrace.rules.expr" (dict "root" .root "expr" .rule.expr)) -}}
{{- with .own.for | default .rule.for }}{{ $_ := set $alert "for" . }}{{ end -}}
{{- toYaml $alert -}}
{{- end -}}

{{- define "millrace.rules.groups" -}}
{{- $own := .Values.metrics.prometheusRule.alerts | default dict -}}
{{- $known := list -}}
{{- range (.Files.Get "rules/millrace.yaml" | fromYaml).groups }}
- name: {{ .name }}
  rules:
  {{- range .rules }}
    {{- $known = append $known .alert }}
    {{- $said := get $own .alert | default dict }}
    {{- if ne (toString $said.enabled) "false" }}
    - {{ include "millrace.rules.alert" (dict "root" $ "rule" . "own" $said) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end }}
{{- range $name := keys $own | sortAlpha -}}
{{- if not (has $name $known) -}}
{{- include "millrace.fail" (list (printf "metrics.prometheusRule.alerts.%s: there is no such alert. Expected one of: %s." $name (join ", " $known))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
