{{/* Names, labels and images. Names do not follow the release's: CRDs and policies are the cluster's, so there is one Innkeeper in it. */}}

{{- define "innkeeper.labels" -}}
app.kubernetes.io/name: innkeeper
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end }}

{{/* What selects the pods of one part: (list $ "operator"). */}}
{{- define "innkeeper.selector" -}}
app.kubernetes.io/name: innkeeper
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The metadata of one object of a part: (list $ "operator" "innkeeper-operator"). */}}
{{- define "innkeeper.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "innkeeper.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The metadata of a pod of a part: (list $ "operator" $values $annotations). */}}
{{- define "innkeeper.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
labels:
  {{- merge (include "innkeeper.selector" (list $root (index . 1)) | fromYaml) (include "innkeeper.labels" $root | fromYaml) $values.podLabels | toYaml | nindent 2 }}
{{- with merge (index . 3) $values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image: (list $ .Values.image). */}}
{{- define "innkeeper.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What every pod says of where it runs: (list $ $values). */}}
{{- define "innkeeper.placement" -}}
{{- $root := index . 0 -}}
{{- $values := index . 1 -}}
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Each process logs alike: (list $ $values). */}}
{{- define "innkeeper.commonArguments" -}}
{{- $root := index . 0 -}}
- --log-format={{ $root.Values.log.format }}
- --log-level={{ $root.Values.log.level }}
{{- range (index . 1).extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* A container that may nothing. */}}
{{- define "innkeeper.lockedContainer" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* A pod that is nobody. */}}
{{- define "innkeeper.lockedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Alive as long as it answers, ready when it says so. */}}
{{- define "innkeeper.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}
