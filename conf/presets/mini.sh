# shellcheck shell=bash disable=SC2034
# The default: half the paper's size on the embedded corpus; a quarter of an hour on two cores.
corpus=synthetic       # conf/corpora/<corpus>.yaml
teacher=tdnn_half      # conf/teachers/<teacher>.yaml
student=tdnn76         # conf/students/<student>.yaml
students="label frame segment6 segment7 frame4+frame+segment6+segment7 segment6:lda_cosine"  # levels to distil, LEVELS or LEVELS:LOSS; label: labels alone
losses="mse"  # conf/losses/<loss>.yaml, each with each set of levels that names none
