"""What the contract, the pages and the sentences say."""
