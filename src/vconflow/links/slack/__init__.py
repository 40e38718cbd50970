"""What `post_analysis_to_slack` says, and how it is said to Slack."""
