# shellcheck shell=bash disable=SC2034
# All stages in about a minute on a few speakers: shows that everything works, not how well.
corpus=tiny            # conf/corpora/<corpus>.yaml
teacher=tdnn_tiny      # conf/teachers/<teacher>.yaml
student=tdnn16         # conf/students/<student>.yaml
students="label frame frame4+frame+segment6+segment7:lda_cosine"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="mse"  # conf/losses/<loss>.yaml, each with each set of levels that names none
