{{/*
The manifests in files/ are the only source of rights and policies, also of those who install without Helm. Here they become
templates: the namespace is the release's, labels and annotations are added. A list of objects as YAML, under `items`:
(dict "root" $ "glob" "files/rbac/*.yaml" "annotations" (dict)).
*/}}
{{- define "innkeeper.documents" -}}
{{- $root := .root -}}
{{- $annotations := .annotations | default dict -}}
{{- $labels := include "innkeeper.labels" $root | fromYaml -}}
{{- $items := list -}}
{{- range $path, $_ := $root.Files.Glob .glob -}}
{{- $text := $root.Files.Get $path | replace "innkeeper-system" $root.Release.Namespace -}}
{{- range $document := regexSplit "(?m)^---$" $text -1 -}}
{{- $object := fromYaml $document -}}
{{- if hasKey $object "Error" -}}{{- fail (printf "%s: %s" $path $object.Error) -}}{{- end -}}
{{- if $object -}}
{{- $_ := set $object.metadata "labels" (merge ($object.metadata.labels | default dict) $labels) -}}
{{- if $annotations -}}
{{- $_ := set $object.metadata "annotations" (merge ($object.metadata.annotations | default dict) $annotations) -}}
{{- end -}}
{{- $items = append $items $object -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "items" $items | toYaml -}}
{{- end }}

{{/* What outlives the release: (dict "keep" true). */}}
{{- define "innkeeper.keep" -}}
{{- if . -}}
helm.sh/resource-policy: keep
{{- end -}}
{{- end }}
