-- A line of a report may name a refund by the provider's id of it.
CREATE INDEX refunds_by_provider_refund_id ON refunds (provider_refund_id) WHERE provider_refund_id IS NOT NULL;
