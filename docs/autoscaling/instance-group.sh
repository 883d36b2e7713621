#!/bin/sh
# Sets the size of a cloud's instance group to what an instance of Remex needs. To be run every minute, by a timer or cron.
# Needs curl and jq. The machines of the group start an agent (docs/agents) and stop it by SIGTERM when they are taken away.
set -eu

: "${REMEX_ENDPOINT:?the URL of the endpoint}"
: "${REMEX_TOKEN_FILE:?a file with a token that has the role operator}"
: "${GROUP:?the name of the instance group}" "${ZONE:?where it is}"
INSTANCE=${INSTANCE:-main}
SLOTS=${SLOTS:-8} # that one machine has
MINIMUM=${MINIMUM:-0}
MAXIMUM=${MAXIMUM:-20}

# By a configuration on standard input, so that the token is in no list of processes.
demand=$(
  printf 'header = "authorization: Bearer %s"\n' "$(cat "$REMEX_TOKEN_FILE")" |
    curl --config - --fail --silent --show-error --max-time 30 "$REMEX_ENDPOINT/v1/instances/$INSTANCE/demand"
)
size=$(
  printf '%s' "$demand" | jq --argjson slots "$SLOTS" --argjson least "$MINIMUM" --argjson most "$MAXIMUM" \
    '((.queued + .active) / $slots) | ceil | [., $least] | max | [., $most] | min'
)
gcloud compute instance-groups managed resize "$GROUP" --zone "$ZONE" --size "$size" --quiet
